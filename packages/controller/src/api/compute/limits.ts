import { always } from '@godwit/contract/schemas/closed';
import { absoluteLimits, ExtensionAnswer, ExtensionsAnswer, LimitsAnswer } from '@godwit/contract/schemas/compute/limits';
import { LimitsQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import { readQuotas } from '../../quotas/read-quotas.ts';
import { usageOf } from '../../quotas/usage.ts';
import { one } from '../query.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

async function limits(request: ComputeRequest<never>) {
  const { caller, minor, context, query } = request;
  assertAllowed(caller, 'limits');
  const project = one(query, 'tenant_id') ?? caller.projectId;
  if (project !== caller.projectId) assertAllowed(caller, 'limits:other_project');
  const [most, usage] = await Promise.all([readQuotas(context.db, project, null), usageOf(context.db, project, null)]);
  const values: Readonly<Record<string, number>> = {
    maxServerMeta: most.metadata_items,
    maxTotalInstances: most.instances,
    maxTotalCores: most.cores,
    maxTotalRAMSize: most.ram,
    maxTotalKeypairs: most.key_pairs,
    maxServerGroups: most.server_groups,
    maxServerGroupMembers: most.server_group_members,
    maxSecurityGroups: most.security_groups,
    maxSecurityGroupRules: most.security_group_rules,
    maxTotalFloatingIps: most.floating_ips,
    maxImageMeta: most.metadata_items,
    maxPersonality: most.injected_files,
    maxPersonalitySize: most.injected_file_content_bytes,
    totalInstancesUsed: usage.instances,
    totalCoresUsed: usage.cores,
    totalRAMUsed: usage.ram,
    totalServerGroupsUsed: usage.server_groups,
    totalFloatingIpsUsed: 0,
    totalSecurityGroupsUsed: 0,
  };
  const absolute = Object.fromEntries(
    absoluteLimits(minor).map((name) => {
      const value = values[name];
      if (value === undefined) throw new Error(`no value for the limit ${name}`);
      return [name, value];
    }),
  );
  return { status: 200, body: { limits: { rate: [], absolute } } };
}

/** The parts of the API that are here, by the aliases that clients ask for (compute API reference, "Extensions"). */
const extensionNames: Readonly<Record<string, string>> = {
  'OS-DCF': 'DiskConfig',
  'OS-EXT-AZ': 'ExtendedAvailabilityZone',
  'OS-EXT-IMG-SIZE': 'ImageSize',
  'OS-EXT-IPS': 'ExtendedIps',
  'OS-EXT-IPS-MAC': 'ExtendedIpsMac',
  'OS-EXT-SRV-ATTR': 'ExtendedServerAttributes',
  'OS-EXT-STS': 'ExtendedStatus',
  'OS-FLV-DISABLED': 'FlavorDisabled',
  'OS-FLV-EXT-DATA': 'FlavorExtraData',
  'OS-SCH-HNT': 'SchedulerHints',
  'OS-SRV-USG': 'ServerUsage',
  'os-access-ips': 'AccessIPs',
  'os-admin-actions': 'AdminActions',
  'os-aggregates': 'Aggregates',
  'os-attach-interfaces': 'AttachInterfaces',
  'os-availability-zone': 'AvailabilityZone',
  'os-config-drive': 'ConfigDrive',
  'os-console-output': 'ConsoleOutput',
  'os-consoles': 'Consoles',
  'os-create-backup': 'CreateBackup',
  'os-deferred-delete': 'DeferredDelete',
  'os-evacuate': 'Evacuate',
  'os-extended-services': 'ExtendedServices',
  'os-extended-volumes': 'ExtendedVolumes',
  'os-flavor-access': 'FlavorAccess',
  'os-flavor-extra-specs': 'FlavorExtraSpecs',
  'os-flavor-manage': 'FlavorManage',
  'os-flavor-rxtx': 'FlavorRxtx',
  'os-hosts': 'Hosts',
  'os-hypervisors': 'Hypervisors',
  'os-instance-actions': 'InstanceActions',
  'os-instance_usage_audit_log': 'OSInstanceUsageAuditLog',
  'os-keypairs': 'Keypairs',
  'os-lock-server': 'LockServer',
  'os-migrate-server': 'MigrateServer',
  'os-migrations': 'Migrations',
  'os-multiple-create': 'MultipleCreate',
  'os-pause-server': 'PauseServer',
  'os-quota-class-sets': 'QuotaClasses',
  'os-quota-sets': 'Quotas',
  'os-rescue': 'Rescue',
  'os-security-groups': 'SecurityGroups',
  'os-server-diagnostics': 'ServerDiagnostics',
  'os-server-external-events': 'ServerExternalEvents',
  'os-server-groups': 'ServerGroups',
  'os-server-password': 'ServerPassword',
  'os-server-sort-keys': 'ServerSortKeys',
  'os-server-start-stop': 'ServerStartStop',
  'os-server-tags': 'ServerTags',
  'os-services': 'Services',
  'os-shelve': 'Shelve',
  'os-simple-tenant-usage': 'SimpleTenantUsage',
  'os-used-limits': 'UsedLimits',
  'os-user-data': 'UserData',
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
  route('GET', '/limits', { query: LimitsQuery, response: LimitsAnswer, handle: limits }),
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
