import { always } from '@godwit/contract/schemas/closed';
import {
  absoluteLimits,
  ExtensionAnswer,
  ExtensionsAnswer,
  LimitsAnswer,
  QuotaSetAnswer,
  QuotaSetDetailAnswer,
  quotaNames,
} from '@godwit/contract/schemas/compute/limits';
import { GodwitError } from '@godwit/domain/errors';
import { policyMessage } from '@godwit/domain/server-states';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import type { Db } from '../../store/database.ts';
import { one } from '../query.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

type Usage = {
  readonly instances: number;
  readonly cores: number;
  readonly ram: number;
  readonly server_groups: number;
  readonly key_pairs: number;
};

/** What a project has now: counted, never kept beside. */
async function usageOf(db: Db, projectId: string, userId: string | null): Promise<Usage> {
  const { rows } =
    await sql<Usage>`select count(*)::integer as instances, coalesce(sum((flavor ->> 'vcpus')::integer), 0)::integer as cores, coalesce(sum((flavor ->> 'ram_mib')::integer), 0)::bigint as ram,
    (select count(*)::integer from server_group where project_id = ${projectId} and deleted_at is null) as server_groups, (select count(*)::integer from keypair where user_id = ${userId}) as key_pairs
    from server where project_id = ${projectId} and deleted_at is null`.execute(db);
  const [usage] = rows;
  if (usage === undefined) throw new Error('an aggregate without a row');
  return usage;
}

/** What is enforced; everything else has no limit (-1). */
const limitsOf: Readonly<Record<string, number>> = {
  maxServerMeta: 128,
  metadata_items: 128,
  maxPersonality: 0,
  maxPersonalitySize: 0,
  injected_files: 0,
  injected_file_content_bytes: 0,
  injected_file_path_bytes: 0,
};

async function limits(request: ComputeRequest<never>) {
  const { caller, minor, context, query } = request;
  assertAllowed(caller, 'limits');
  const project = one(query, 'tenant_id') ?? one(query, 'project_id') ?? caller.projectId;
  if (project !== caller.projectId) assertAllowed(caller, 'limits:other_project');
  const usage = await usageOf(context.db, project, null);
  const used: Readonly<Record<string, number>> = {
    totalInstancesUsed: usage.instances,
    totalCoresUsed: usage.cores,
    totalRAMUsed: usage.ram,
    totalServerGroupsUsed: usage.server_groups,
    totalFloatingIpsUsed: 0,
    totalSecurityGroupsUsed: 0,
  };
  const absolute = Object.fromEntries(absoluteLimits(minor).map((name) => [name, used[name] ?? limitsOf[name] ?? -1]));
  return { status: 200, body: { limits: { rate: [], absolute } } };
}

function projectOf(request: ComputeRequest<never>): string {
  const id = param(request, 'project');
  if (id !== request.caller.projectId && !request.caller.isAdmin)
    throw new GodwitError('Forbidden', policyMessage('os_compute_api:os-quota-sets:show'));
  assertAllowed(request.caller, 'os-quota-sets:show');
  return id;
}

const quotas = (minor: number): Record<string, number> => Object.fromEntries(quotaNames(minor).map((name) => [name, limitsOf[name] ?? -1]));

async function quotaSet(request: ComputeRequest<never>) {
  const id = projectOf(request);
  return { status: 200, body: { quota_set: { id, ...quotas(request.minor) } } };
}

async function quotaDetail(request: ComputeRequest<never>) {
  const id = projectOf(request);
  const usage: Readonly<Record<string, number>> = await usageOf(request.context.db, id, one(request.query, 'user_id'));
  const detail = Object.fromEntries(
    Object.entries(quotas(request.minor)).map(([name, limit]) => [name, { limit, in_use: usage[name] ?? 0, reserved: 0 }]),
  );
  return { status: 200, body: { quota_set: { id, ...detail } } };
}

/** The parts of the API beyond its core, by the aliases that clients ask for. */
const extensionNames: Readonly<Record<string, string>> = {
  'os-migrate-server': 'MigrateServer',
  'os-migrations': 'Migrations',
  'os-instance-actions': 'InstanceActions',
  'os-extended-server-attributes': 'ExtendedServerAttributes',
  'os-extended-status': 'ExtendedStatus',
  'os-extended-availability-zone': 'ExtendedAvailabilityZone',
  'os-flavor-extra-specs': 'FlavorExtraSpecs',
  'os-flavor-manage': 'FlavorManage',
  'os-flavor-access': 'FlavorAccess',
  'os-keypairs': 'Keypairs',
  'os-server-groups': 'ServerGroups',
  'os-hypervisors': 'Hypervisors',
  'os-services': 'Services',
  'os-aggregates': 'Aggregates',
  'os-availability-zone': 'AvailabilityZone',
  'os-quota-sets': 'Quotas',
  'os-console-output': 'ConsoleOutput',
  'os-lock-server': 'LockServer',
  'os-pause-server': 'PauseServer',
  'os-server-tags': 'ServerTags',
  'os-admin-actions': 'AdminActions',
};
const extension = (alias: string, name: string) => ({
  alias,
  name,
  namespace: 'http://docs.openstack.org/compute/ext/fake_xml',
  description: '',
  updated: '2014-12-03T00:00:00Z',
  links: [],
});

export const limitRoutes: readonly ComputeRoute[] = [
  route('GET', '/limits', { response: LimitsAnswer, handle: limits }),
  route('GET', '/os-quota-sets/:project', { response: QuotaSetAnswer, handle: quotaSet }),
  route('GET', '/os-quota-sets/:project/defaults', { response: QuotaSetAnswer, handle: quotaSet }),
  route('GET', '/os-quota-sets/:project/detail', { response: QuotaSetDetailAnswer, handle: quotaDetail }),
  route('GET', '/extensions', {
    response: always(ExtensionsAnswer),
    handle: async () => ({
      status: 200,
      body: { extensions: Object.entries(extensionNames).map(([alias, name]) => extension(alias, name)) },
    }),
  }),
  route('GET', '/extensions/:alias', {
    response: always(ExtensionAnswer),
    handle: async (request) => {
      const alias = param(request, 'alias');
      const name = Object.hasOwn(extensionNames, alias) ? extensionNames[alias] : undefined;
      if (name === undefined) throw new GodwitError('NotFound', 'The resource could not be found.');
      return { status: 200, body: { extension: extension(alias, name) } };
    },
  }),
];
