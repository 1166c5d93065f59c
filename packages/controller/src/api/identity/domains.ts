import { CreateDomain, Domain, itemAnswer, listAnswer, UpdateDomain } from '@godwit/contract/schemas/identity/resources';
import { GodwitError } from '@godwit/domain/errors';
import { newIdentityId } from '../../auth/bootstrap.ts';
import type { DomainTable } from '../../store/api-tables.ts';
import { flag, one } from '../query.ts';
import { conflictIfDuplicate, type IdentityRequest, type IdentityRoute, listLinks, notFound, pathParam } from './route.ts';

type Row = { id: string; name: string; description: string; enabled: boolean };
const columns = ['id', 'name', 'description', 'enabled'] as const satisfies readonly (keyof DomainTable)[];
const view = (request: IdentityRequest<never>, row: Row) => ({
  id: row.id,
  name: row.name,
  description: row.description,
  enabled: row.enabled,
  tags: [],
  options: {},
  links: { self: `${request.base}/domains/${row.id}` },
});

async function find(request: IdentityRequest<never>): Promise<Row> {
  const id = pathParam(request, 'domain');
  const row = await request.context.db.selectFrom('identity_domain').select(columns).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw notFound('domain', id);
  return row;
}

export const domainRoutes: readonly IdentityRoute[] = [
  {
    method: 'GET',
    path: '/v3/domains',
    who: 'admin',
    rule: 'list_domains',
    response: listAnswer('domains', Domain),
    handle: async (request) => {
      let query = request.context.db.selectFrom('identity_domain').select(columns).orderBy('name');
      const name = one(request.query, 'name');
      if (name !== null) query = query.where('name', '=', name);
      if (request.query.has('enabled')) query = query.where('enabled', '=', flag(request.query, 'enabled'));
      const rows = await query.execute();
      return { status: 200, body: { domains: rows.map((row) => view(request, row)), links: listLinks(request, '/domains') } };
    },
  },
  {
    method: 'POST',
    path: '/v3/domains',
    who: 'admin',
    rule: 'create_domain',
    body: CreateDomain,
    response: itemAnswer('domain', Domain),
    handle: async (request: IdentityRequest<CreateDomain>) => {
      const { name, description, enabled } = request.body.domain;
      const row = await conflictIfDuplicate(`Conflict occurred attempting to store domain - Duplicate entry found with name ${name}.`, () =>
        request.context.db
          .insertInto('identity_domain')
          .values({ id: newIdentityId(), name, description: description ?? '', enabled: enabled ?? true })
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 201, body: { domain: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'GET',
    path: '/v3/domains/:domain',
    who: 'admin',
    rule: 'get_domain',
    response: itemAnswer('domain', Domain),
    handle: async (request) => ({ status: 200, body: { domain: view(request, await find(request)) } }),
  },
  {
    method: 'PATCH',
    path: '/v3/domains/:domain',
    who: 'admin',
    rule: 'update_domain',
    body: UpdateDomain,
    response: itemAnswer('domain', Domain),
    handle: async (request: IdentityRequest<UpdateDomain>) => {
      const before = await find(request as IdentityRequest<never>);
      const { name, description, enabled } = request.body.domain;
      const row = await conflictIfDuplicate(`Conflict occurred attempting to store domain - Duplicate entry found with name ${name}.`, () =>
        request.context.db
          .updateTable('identity_domain')
          .set({
            name: name ?? before.name,
            description: description === undefined ? before.description : (description ?? ''),
            enabled: enabled ?? before.enabled,
          })
          .where('id', '=', before.id)
          .returning(columns)
          .executeTakeFirstOrThrow(),
      );
      return { status: 200, body: { domain: view(request as IdentityRequest<never>, row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v3/domains/:domain',
    who: 'admin',
    rule: 'delete_domain',
    response: null,
    handle: async (request) => {
      const row = await find(request);
      if (row.enabled) throw new GodwitError('Forbidden', 'Cannot delete a domain that is enabled, please disable it first.');
      await request.context.db.transaction().execute(async (tx) => {
        await tx.deleteFrom('identity_user').where('domain_id', '=', row.id).execute();
        await tx.deleteFrom('identity_project').where('domain_id', '=', row.id).execute();
        await tx.deleteFrom('identity_domain').where('id', '=', row.id).execute();
      });
      return { status: 204 };
    },
  },
];
