import { ChangePassword, CreateUser, itemAnswer, listAnswer, UpdateUser, User } from '@godwit/contract/schemas/identity/resources';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { newIdentityId } from '../../auth/bootstrap.ts';
import { countAttempt } from '../../auth/login-attempts.ts';
import { hashPassword, verifyPassword } from '../../auth/passwords.ts';
import type { UserTable } from '../../store/api-tables.ts';
import type { Db } from '../../store/database.ts';
import { flag, one } from '../query.ts';
import { domainOfBody } from './projects.ts';
import {
  assertAdminOrSelf,
  conflictIfDuplicate,
  type IdentityRequest,
  type IdentityRoute,
  listLinks,
  notFound,
  pathParam,
} from './route.ts';

const columns = [
  'id',
  'domain_id',
  'name',
  'email',
  'description',
  'default_project_id',
  'enabled',
] as const satisfies readonly (keyof UserTable)[];
type Row = {
  id: string;
  domain_id: string;
  name: string;
  email: string | null;
  description: string | null;
  default_project_id: string | null;
  enabled: boolean;
};

const view = (request: IdentityRequest<never>, row: Row) => ({
  id: row.id,
  name: row.name,
  domain_id: row.domain_id,
  enabled: row.enabled,
  password_expires_at: null,
  options: {},
  links: { self: `${request.base}/users/${row.id}` },
  ...(row.email === null ? {} : { email: row.email }),
  ...(row.description === null ? {} : { description: row.description }),
  ...(row.default_project_id === null ? {} : { default_project_id: row.default_project_id }),
});

async function find(request: IdentityRequest<never>): Promise<Row> {
  const id = pathParam(request, 'user');
  const row = await request.context.db.selectFrom('identity_user').select(columns).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw notFound('user', id);
  return row;
}

const duplicate = (name: string): string => `Conflict occurred attempting to store user - Duplicate entry found with name ${name}.`;

async function assertProject(db: Db, id: string | null | undefined): Promise<void> {
  if (id === undefined || id === null) return;
  const row = await db.selectFrom('identity_project').select('id').where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new GodwitError('BadRequest', `Could not find project: ${id}.`);
}

/** A new password ends every token given for the old one. */
const newPassword = (password_hash: string) => ({ password_hash, tokens_valid_after: sql<Date>`now()` });

export const userRoutes: readonly IdentityRoute[] = [
  {
    method: 'GET',
    path: '/v3/users',
    who: 'admin',
    rule: 'list_users',
    response: listAnswer('users', User),
    handle: async (request) => {
      let query = request.context.db.selectFrom('identity_user').select(columns).orderBy('name').orderBy('id');
      const name = one(request.query, 'name');
      const domain = one(request.query, 'domain_id');
      if (name !== null) query = query.where('name', '=', name);
      if (domain !== null) query = query.where('domain_id', '=', domain);
      if (request.query.has('enabled')) query = query.where('enabled', '=', flag(request.query, 'enabled'));
      const rows = await query.execute();
      return { status: 200, body: { users: rows.map((row) => view(request, row)), links: listLinks(request, '/users') } };
    },
  },
  {
    method: 'POST',
    path: '/v3/users',
    who: 'admin',
    rule: 'create_user',
    body: CreateUser,
    response: itemAnswer('user', User),
    handle: async (request: IdentityRequest<CreateUser>) => {
      const { db } = request.context;
      const { name, password, domain_id, default_project_id, enabled, email, description } = request.body.user;
      const domain = await domainOfBody(db, domain_id, request as IdentityRequest<never>);
      await assertProject(db, default_project_id);
      const password_hash = password === undefined || password === null ? null : await hashPassword(password);
      const row = await conflictIfDuplicate(duplicate(name), () =>
        db
          .insertInto('identity_user')
          .values({
            id: newIdentityId(),
            domain_id: domain,
            name,
            password_hash,
            email: email ?? null,
            description: description ?? null,
            default_project_id: default_project_id ?? null,
            enabled: enabled ?? true,
          })
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 201, body: { user: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'GET',
    path: '/v3/users/:user',
    who: 'anyone',
    rule: 'get_user',
    response: itemAnswer('user', User),
    handle: async (request) => {
      assertAdminOrSelf(request, pathParam(request, 'user'), 'get_user');
      return { status: 200, body: { user: view(request, await find(request)) } };
    },
  },
  {
    method: 'PATCH',
    path: '/v3/users/:user',
    who: 'admin',
    rule: 'update_user',
    body: UpdateUser,
    response: itemAnswer('user', User),
    handle: async (request: IdentityRequest<UpdateUser>) => {
      const { db } = request.context;
      const before = await find(request as IdentityRequest<never>);
      const { name, password, default_project_id, enabled, email, description } = request.body.user;
      await assertProject(db, default_project_id);
      const password_hash = password === undefined ? null : await hashPassword(password);
      const row = await conflictIfDuplicate(duplicate(name ?? before.name), () =>
        db
          .updateTable('identity_user')
          .set({
            name: name ?? before.name,
            enabled: enabled ?? before.enabled,
            email: email === undefined ? before.email : email,
            description: description === undefined ? before.description : description,
            default_project_id: default_project_id === undefined ? before.default_project_id : default_project_id,
            ...(password_hash === null ? {} : newPassword(password_hash)),
          })
          .where('id', '=', before.id)
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 200, body: { user: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v3/users/:user',
    who: 'admin',
    rule: 'delete_user',
    response: null,
    handle: async (request) => {
      const { id } = await find(request);
      await request.context.db.deleteFrom('identity_user').where('id', '=', id).execute();
      return { status: 204 };
    },
  },
  {
    // The old password is the proof, as for a log in, and its attempts are limited like those.
    method: 'POST',
    path: '/v3/users/:user/password',
    who: 'anyone',
    rule: 'change_password',
    body: ChangePassword,
    response: null,
    handle: async (request: IdentityRequest<ChangePassword>) => {
      const { db } = request.context;
      const id = pathParam(request, 'user');
      const attempt = await countAttempt(db, `id ${id}`, request.address);
      const row = await db
        .selectFrom('identity_user')
        .select('password_hash')
        .where('id', '=', id)
        .where('enabled', '=', true)
        .executeTakeFirst();
      if (!(await verifyPassword(row?.password_hash ?? null, request.body.user.original_password))) {
        throw new GodwitError('Unauthorized', 'The request you have made requires authentication.');
      }
      await attempt.succeeded();
      await db
        .updateTable('identity_user')
        .set(newPassword(await hashPassword(request.body.user.password)))
        .where('id', '=', id)
        .execute();
      return { status: 204 };
    },
  },
];
