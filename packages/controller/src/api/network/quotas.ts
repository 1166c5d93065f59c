import { type networkQuotaNames, QuotaBody, QuotaDetailsBody, QuotaList } from '@godwit/contract/schemas/network/quotas';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';

type Name = (typeof networkQuotaNames)[number];

/** What holds for every project: of what is here there is no limit (-1), of what is not (routers, floating addresses, pools of subnets, RBAC policies) there can be none. Nothing sets another. */
const limits: Readonly<Record<Name, number>> = {
  network: -1,
  subnet: -1,
  port: -1,
  security_group: -1,
  security_group_rule: -1,
  router: 0,
  floatingip: 0,
  subnetpool: 0,
  rbac_policy: 0,
};

/** The project of the path. Throws Forbidden when it is another's and the caller no admin. */
function projectOf({ caller, params }: ServiceRequest): string {
  const id = params['project'] ?? '';
  if (id !== caller.projectId && !caller.isAdmin) throw new GodwitError('Forbidden', 'rule:get_quota is disallowed by policy');
  return id;
}

async function used({ context }: ServiceRequest, project: string): Promise<Readonly<Partial<Record<Name, number>>>> {
  const { rows } = await sql<Record<Name, number>>`select
    (select count(*)::integer from network where project_id = ${project}) as network,
    (select count(*)::integer from subnet s join network n on n.id = s.network_id where n.project_id = ${project}) as subnet,
    (select count(*)::integer from port where project_id = ${project}) as port,
    (select count(*)::integer from security_group where project_id = ${project}) as security_group,
    (select count(*)::integer from security_group_rule r join security_group g on g.id = r.security_group_id where g.project_id = ${project}) as security_group_rule`.execute(
    context.db,
  );
  return rows[0] ?? {};
}

export const quotaRoutes: readonly ServiceRoute[] = [
  // Only projects whose limits somebody has set are listed: nobody can.
  { method: 'GET', path: '/v2.0/quotas', response: QuotaList, handle: async () => ({ status: 200, body: { quotas: [] } }) },
  ...(['/v2.0/quotas/:project', '/v2.0/quotas/:project/default'] as const).map(
    (path): ServiceRoute => ({
      method: 'GET',
      path,
      response: QuotaBody,
      handle: async (request: ServiceRequest) => {
        projectOf(request);
        return { status: 200, body: { quota: limits } };
      },
    }),
  ),
  {
    method: 'GET',
    path: '/v2.0/quotas/:project/details',
    response: QuotaDetailsBody,
    handle: async (request: ServiceRequest) => {
      const inUse = await used(request, projectOf(request));
      const details = Object.entries(limits).map(([name, limit]) => [name, { limit, used: inUse[name as Name] ?? 0, reserved: 0 }]);
      return { status: 200, body: { quota: Object.fromEntries(details) } };
    },
  },
];
