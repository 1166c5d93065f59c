import { CreateProject, itemAnswer, listAnswer, Project, UpdateProject } from '@godwit/contract/schemas/identity/resources';
import { GodwitError } from '@godwit/domain/errors';
import { newIdentityId } from '../../auth/bootstrap.ts';
import type { ProjectTable } from '../../store/api-tables.ts';
import type { Db } from '../../store/database.ts';
import { flag, one } from '../query.ts';
import {
  assertAdminOrSelf,
  caller,
  conflictIfDuplicate,
  type IdentityRequest,
  type IdentityRoute,
  isAdmin,
  listLinks,
  notFound,
  pathParam,
  refusedByPolicy,
} from './route.ts';

type Row = { id: string; domain_id: string; name: string; description: string; enabled: boolean };
const columns = ['id', 'domain_id', 'name', 'description', 'enabled'] as const satisfies readonly (keyof ProjectTable)[];

/** Projects are flat: the parent of each is its domain. */
const view = (request: IdentityRequest<never>, row: Row) => ({
  id: row.id,
  name: row.name,
  domain_id: row.domain_id,
  description: row.description,
  enabled: row.enabled,
  parent_id: row.domain_id,
  is_domain: false,
  tags: [],
  options: {},
  links: { self: `${request.base}/projects/${row.id}` },
});

async function find(request: IdentityRequest<never>): Promise<Row> {
  const id = pathParam(request, 'project');
  const row = await request.context.db.selectFrom('identity_project').select(columns).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw notFound('project', id);
  return row;
}

const duplicate = (name: string): string =>
  `Conflict occurred attempting to store project - it is not permitted to have two projects with the same name in the same domain : ${name}.`;

/** The domain that a body names, or the caller's own. Throws `BadRequest` when it is unknown. */
export async function domainOfBody(db: Db, named: string | null | undefined, request: IdentityRequest<never>): Promise<string> {
  const token = caller(request);
  const id = named ?? token.domain?.id ?? token.project?.domain.id ?? 'default';
  const row = await db.selectFrom('identity_domain').select('id').where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new GodwitError('BadRequest', `Could not find domain: ${id}.`);
  return row.id;
}

/** The projects in which this user has a role. */
async function projectsOf(request: IdentityRequest<never>, userId: string) {
  return request.context.db
    .selectFrom('identity_project')
    .select(columns)
    .where('enabled', '=', true)
    .where('id', 'in', (eb) =>
      eb
        .selectFrom('role_assignment')
        .select('project_id')
        .where('user_id', '=', userId)
        .where('project_id', 'is not', null)
        .$narrowType<{ project_id: string }>(),
    )
    .orderBy('name')
    .execute();
}

export const projectRoutes: readonly IdentityRoute[] = [
  {
    method: 'GET',
    path: '/v3/projects',
    who: 'admin',
    rule: 'list_projects',
    response: listAnswer('projects', Project),
    handle: async (request) => {
      let query = request.context.db.selectFrom('identity_project').select(columns).orderBy('name').orderBy('id');
      const name = one(request.query, 'name');
      const domain = one(request.query, 'domain_id') ?? one(request.query, 'parent_id');
      if (name !== null) query = query.where('name', '=', name);
      if (domain !== null) query = query.where('domain_id', '=', domain);
      if (request.query.has('enabled')) query = query.where('enabled', '=', flag(request.query, 'enabled'));
      // Domains are no projects here.
      const rows = request.query.has('is_domain') && flag(request.query, 'is_domain') ? [] : await query.execute();
      return { status: 200, body: { projects: rows.map((row) => view(request, row)), links: listLinks(request, '/projects') } };
    },
  },
  {
    method: 'POST',
    path: '/v3/projects',
    who: 'admin',
    rule: 'create_project',
    body: CreateProject,
    response: itemAnswer('project', Project),
    handle: async (request: IdentityRequest<CreateProject>) => {
      const { db } = request.context;
      const { name, description, enabled, domain_id, parent_id } = request.body.project;
      const domain = await domainOfBody(db, domain_id ?? parent_id, request as IdentityRequest<never>);
      if (parent_id !== undefined && parent_id !== null && parent_id !== domain)
        throw new GodwitError('BadRequest', 'Projects inside projects are not offered: parent_id must be the domain.');
      const row = await conflictIfDuplicate(duplicate(name), () =>
        db
          .insertInto('identity_project')
          .values({ id: newIdentityId(), domain_id: domain, name, description: description ?? '', enabled: enabled ?? true })
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 201, body: { project: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'GET',
    path: '/v3/projects/:project',
    who: 'anyone',
    rule: 'get_project',
    response: itemAnswer('project', Project),
    handle: async (request) => {
      const token = caller(request);
      if (!isAdmin(token) && token.project?.id !== pathParam(request, 'project')) throw refusedByPolicy('get_project');
      return { status: 200, body: { project: view(request, await find(request)) } };
    },
  },
  {
    method: 'PATCH',
    path: '/v3/projects/:project',
    who: 'admin',
    rule: 'update_project',
    body: UpdateProject,
    response: itemAnswer('project', Project),
    handle: async (request: IdentityRequest<UpdateProject>) => {
      const before = await find(request as IdentityRequest<never>);
      const { name, description, enabled } = request.body.project;
      const row = await conflictIfDuplicate(duplicate(name ?? before.name), () =>
        request.context.db
          .updateTable('identity_project')
          .set({
            name: name ?? before.name,
            description: description === undefined ? before.description : (description ?? ''),
            enabled: enabled ?? before.enabled,
          })
          .where('id', '=', before.id)
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 200, body: { project: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v3/projects/:project',
    who: 'admin',
    rule: 'delete_project',
    response: null,
    handle: async (request) => {
      const { id } = await find(request);
      await request.context.db.deleteFrom('identity_project').where('id', '=', id).execute();
      return { status: 204 };
    },
  },
  {
    method: 'GET',
    path: '/v3/users/:user/projects',
    who: 'anyone',
    rule: 'list_user_projects',
    response: listAnswer('projects', Project),
    handle: async (request) => {
      const user = pathParam(request, 'user');
      assertAdminOrSelf(request, user, 'list_user_projects');
      const rows = await projectsOf(request, user);
      return {
        status: 200,
        body: { projects: rows.map((row) => view(request, row)), links: listLinks(request, `/users/${user}/projects`) },
      };
    },
  },
  {
    method: 'GET',
    path: '/v3/auth/projects',
    who: 'anyone',
    rule: 'get_auth_projects',
    response: listAnswer('projects', Project),
    handle: async (request) => {
      const rows = await projectsOf(request, caller(request).user.id);
      return { status: 200, body: { projects: rows.map((row) => view(request, row)), links: listLinks(request, '/auth/projects') } };
    },
  },
];
