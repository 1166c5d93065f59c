import { CreateRole, itemAnswer, listAnswer, Role, RoleAssignment, UpdateRole } from '@godwit/contract/schemas/identity/resources';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { newIdentityId } from '../../auth/bootstrap.ts';
import { flag, one } from '../query.ts';
import type { Method } from '../route-table.ts';
import {
  assertAdminOrSelf,
  conflictIfDuplicate,
  type IdentityRequest,
  type IdentityRoute,
  listLinks,
  notFound,
  pathParam,
} from './route.ts';

type Row = { id: string; name: string; description: string | null };
const columns = ['id', 'name', 'description'] as const;
/** The roles that policies know: without them nobody could do anything. */
const builtIn: ReadonlySet<string> = new Set(['admin', 'member', 'reader']);

const view = (request: IdentityRequest<never>, row: Row) => ({
  id: row.id,
  name: row.name,
  domain_id: null,
  description: row.description,
  options: {},
  links: { self: `${request.base}/roles/${row.id}` },
});

async function find(request: IdentityRequest<never>): Promise<Row> {
  const id = pathParam(request, 'role');
  const row = await request.context.db.selectFrom('identity_role').select(columns).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw notFound('role', id);
  return row;
}

const duplicate = (name: string): string => `Conflict occurred attempting to store role - Duplicate entry found with name ${name}.`;

export const roleRoutes: readonly IdentityRoute[] = [
  {
    method: 'GET',
    path: '/v3/roles',
    who: 'admin',
    rule: 'list_roles',
    response: listAnswer('roles', Role),
    handle: async (request) => {
      let query = request.context.db.selectFrom('identity_role').select(columns).orderBy('name');
      const name = one(request.query, 'name');
      if (name !== null) query = query.where('name', '=', name);
      // Every role is global.
      const rows = (one(request.query, 'domain_id') ?? '') === '' ? await query.execute() : [];
      return { status: 200, body: { roles: rows.map((row) => view(request, row)), links: listLinks(request, '/roles') } };
    },
  },
  {
    method: 'POST',
    path: '/v3/roles',
    who: 'admin',
    rule: 'create_role',
    body: CreateRole,
    response: itemAnswer('role', Role),
    handle: async (request: IdentityRequest<CreateRole>) => {
      const { name, description } = request.body.role;
      const row = await conflictIfDuplicate(duplicate(name), () =>
        request.context.db
          .insertInto('identity_role')
          .values({ id: newIdentityId(), name, description: description ?? null })
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 201, body: { role: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'GET',
    path: '/v3/roles/:role',
    who: 'admin',
    rule: 'get_role',
    response: itemAnswer('role', Role),
    handle: async (request) => ({ status: 200, body: { role: view(request, await find(request)) } }),
  },
  {
    method: 'PATCH',
    path: '/v3/roles/:role',
    who: 'admin',
    rule: 'update_role',
    body: UpdateRole,
    response: itemAnswer('role', Role),
    handle: async (request: IdentityRequest<UpdateRole>) => {
      const before = await find(request as IdentityRequest<never>);
      const { name, description } = request.body.role;
      if (name !== undefined && name !== before.name && builtIn.has(before.name))
        throw new GodwitError('Forbidden', `The role ${before.name} is built in and keeps its name.`);
      const row = await conflictIfDuplicate(duplicate(name ?? before.name), () =>
        request.context.db
          .updateTable('identity_role')
          .set({ name: name ?? before.name, description: description === undefined ? before.description : description })
          .where('id', '=', before.id)
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 200, body: { role: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v3/roles/:role',
    who: 'admin',
    rule: 'delete_role',
    response: null,
    handle: async (request) => {
      const row = await find(request);
      if (builtIn.has(row.name)) throw new GodwitError('Forbidden', `The role ${row.name} is built in and cannot be deleted.`);
      await request.context.db.deleteFrom('identity_role').where('id', '=', row.id).execute();
      return { status: 204 };
    },
  },
  ...grantRoutes('projects', 'project'),
  ...grantRoutes('domains', 'domain'),
  {
    method: 'GET',
    path: '/v3/role_assignments',
    who: 'anyone',
    rule: 'list_role_assignments',
    response: listAnswer('role_assignments', RoleAssignment),
    handle: listAssignments,
  },
];

/** `/v3/projects/{p}/users/{u}/roles[/{r}]` and the same of domains: list, check, give, take away. */
function grantRoutes(plural: 'projects' | 'domains', kind: 'project' | 'domain'): readonly IdentityRoute[] {
  const base = `/v3/${plural}/:scope/users/:user/roles`;
  const column = kind === 'project' ? 'project_id' : 'domain_id';
  const named = async (request: IdentityRequest<never>): Promise<{ scope: string; user: string; role: string | null }> => {
    const { db } = request.context;
    const scope = pathParam(request, 'scope');
    const user = pathParam(request, 'user');
    const role = request.params['role'] ?? null;
    const found = await (kind === 'project'
      ? db.selectFrom('identity_project').select('id').where('id', '=', scope)
      : db.selectFrom('identity_domain').select('id').where('id', '=', scope)
    ).executeTakeFirst();
    if (found === undefined) throw notFound(kind, scope);
    if ((await db.selectFrom('identity_user').select('id').where('id', '=', user).executeTakeFirst()) === undefined)
      throw notFound('user', user);
    if (role !== null && (await db.selectFrom('identity_role').select('id').where('id', '=', role).executeTakeFirst()) === undefined)
      throw notFound('role', role);
    return { scope, user, role };
  };
  const check = (method: Method): IdentityRoute => ({
    method,
    path: `${base}/:role`,
    who: 'admin',
    rule: 'check_grant',
    response: null,
    handle: async (request) => {
      const { scope, user, role } = await named(request);
      const row = await request.context.db
        .selectFrom('role_assignment')
        .select('user_id')
        .where('user_id', '=', user)
        .where('role_id', '=', role ?? '')
        .where(column, '=', scope)
        .executeTakeFirst();
      if (row === undefined)
        throw notFound('role assignment with role', `${role}, user or group: ${user}, project, domain, or system: ${scope}`);
      return { status: 204 };
    },
  });
  return [
    {
      method: 'GET',
      path: base,
      who: 'admin',
      rule: 'list_grants',
      response: listAnswer('roles', Role),
      handle: async (request) => {
        const { scope, user } = await named(request);
        const rows = await request.context.db
          .selectFrom('role_assignment as a')
          .innerJoin('identity_role as r', 'r.id', 'a.role_id')
          .select(['r.id', 'r.name', 'r.description'])
          .where('a.user_id', '=', user)
          .where(`a.${column}`, '=', scope)
          .orderBy('r.name')
          .execute();
        return {
          status: 200,
          body: { roles: rows.map((row) => view(request, row)), links: listLinks(request, `/${plural}/${scope}/users/${user}/roles`) },
        };
      },
    },
    check('GET'),
    check('HEAD'),
    {
      method: 'PUT',
      path: `${base}/:role`,
      who: 'admin',
      rule: 'create_grant',
      response: null,
      handle: async (request) => {
        const { scope, user, role } = await named(request);
        await request.context.db
          .insertInto('role_assignment')
          .values({
            user_id: user,
            role_id: role ?? '',
            project_id: kind === 'project' ? scope : null,
            domain_id: kind === 'domain' ? scope : null,
          })
          .onConflict((c) => c.doNothing())
          .execute();
        return { status: 204 };
      },
    },
    {
      method: 'DELETE',
      path: `${base}/:role`,
      who: 'admin',
      rule: 'revoke_grant',
      response: null,
      handle: async (request) => {
        const { scope, user, role } = await named(request);
        const gone = await request.context.db
          .deleteFrom('role_assignment')
          .where('user_id', '=', user)
          .where('role_id', '=', role ?? '')
          .where(column, '=', scope)
          .executeTakeFirst();
        if (gone.numDeletedRows === 0n)
          throw notFound('role assignment with role', `${role}, user or group: ${user}, project, domain, or system: ${scope}`);
        return { status: 204 };
      },
    },
  ];
}

async function listAssignments(request: IdentityRequest<never>) {
  const user = one(request.query, 'user.id');
  assertAdminOrSelf(request, user ?? '', 'list_role_assignments');
  const effective = request.query.has('effective') && flag(request.query, 'effective');
  const names = request.query.has('include_names') && flag(request.query, 'include_names');
  const { rows } = await sql<{
    user_id: string;
    user_name: string;
    user_domain_id: string;
    user_domain_name: string;
    role_id: string;
    role_name: string;
    project_id: string | null;
    project_name: string | null;
    project_domain_id: string | null;
    project_domain_name: string | null;
    domain_id: string | null;
    domain_name: string | null;
  }>`
    with scopes as (select distinct user_id, project_id, domain_id from role_assignment),
    given as (
      select user_id, role_id, project_id, domain_id from role_assignment where not ${effective}::boolean
      union all
      select s.user_id, r.id, s.project_id, s.domain_id from scopes s cross join lateral effective_role_names(s.user_id, s.project_id, s.domain_id) e join identity_role r on r.name = e.name
      where ${effective}::boolean
    )
    select u.id as user_id, u.name as user_name, ud.id as user_domain_id, ud.name as user_domain_name, r.id as role_id, r.name as role_name, p.id as project_id, p.name as project_name,
      pd.id as project_domain_id, pd.name as project_domain_name, d.id as domain_id, d.name as domain_name
    from given g join identity_user u on u.id = g.user_id join identity_domain ud on ud.id = u.domain_id join identity_role r on r.id = g.role_id
    left join identity_project p on p.id = g.project_id left join identity_domain pd on pd.id = p.domain_id left join identity_domain d on d.id = g.domain_id
    where (${user}::text is null or u.id = ${user}) and (${one(request.query, 'role.id')}::text is null or r.id = ${one(request.query, 'role.id')})
      and (${one(request.query, 'scope.project.id')}::text is null or p.id = ${one(request.query, 'scope.project.id')})
      and (${one(request.query, 'scope.domain.id')}::text is null or d.id = ${one(request.query, 'scope.domain.id')})
    order by u.name, p.name nulls last, d.name nulls last, r.name`.execute(request.context.db);
  // Neither groups nor a scope of the whole system exist here.
  const none = one(request.query, 'group.id') !== null || request.query.has('scope.system');
  const role_assignments = (none ? [] : rows).map((row) => {
    const scopePath = row.project_id === null ? `domains/${row.domain_id}` : `projects/${row.project_id}`;
    return {
      role: { id: row.role_id, ...(names ? { name: row.role_name } : {}) },
      user: { id: row.user_id, ...(names ? { name: row.user_name, domain: { id: row.user_domain_id, name: row.user_domain_name } } : {}) },
      scope:
        row.project_id === null
          ? { domain: { id: row.domain_id, ...(names ? { name: row.domain_name } : {}) } }
          : {
              project: {
                id: row.project_id,
                ...(names ? { name: row.project_name, domain: { id: row.project_domain_id, name: row.project_domain_name } } : {}),
              },
            },
      links: { assignment: `${request.base}/${scopePath}/users/${row.user_id}/roles/${row.role_id}` },
    };
  });
  return { status: 200, body: { role_assignments, links: listLinks(request, '/role_assignments') } };
}
