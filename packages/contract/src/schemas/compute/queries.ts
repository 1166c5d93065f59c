import { Type } from 'typebox';
import { OneOf } from '../closed.ts';
import { QueryCount, type QueryKey, QueryText, QueryTime, querySchema } from '../query.ts';

/*
 * What the lists of the compute API may be asked, key by key. Source: OpenStack compute API reference, "Request" of each list, and its microversion history: 2.75 ("Multiple API
 * cleanups") closes what was open until then; migrations (2.59), hypervisors (2.53) and actions (2.58) were closed when they came to be paged.
 */
const text = { value: QueryText };
const paging = (since = 1, once = Infinity) => ({ limit: { value: QueryCount, since, once }, marker: { value: QueryText, since, once } });
const since = (minor: number, value: QueryKey['value'] = QueryText): QueryKey => ({ value, since: minor });
const changes = (since: number, before: number, once = Infinity): Readonly<Record<string, QueryKey>> => ({
  'changes-since': { value: QueryTime, since, once },
  'changes-before': { value: QueryTime, since: before, once },
});
const direction = { value: OneOf('asc', 'desc') };
const truth = Type.String({ pattern: '^(True|TRUE|true|1|ON|On|on|YES|Yes|yes|False|FALSE|false|0|OFF|Off|off|NO|No|no)$' });

/** What servers may be sorted by. */
export const serverSortKeys = [
  ...[
    'uuid',
    'display_name',
    'display_description',
    'created_at',
    'updated_at',
    'launched_at',
    'terminated_at',
    'host',
    'node',
    'hostname',
  ],
  ...['image_ref', 'instance_type_id', 'key_name', 'launch_index', 'power_state', 'progress', 'project_id', 'task_state', 'user_id'],
  ...['vm_state', 'config_drive', 'access_ip_v4', 'access_ip_v6', 'locked_by', 'auto_disk_config', 'availability_zone', 'kernel_id'],
  ...['ramdisk_id', 'root_device_name'],
] as const;
/** What once were keys to sort by: ignored until 2.75 refuses them. */
const formerSortKeys = [
  ...['architecture', 'cell_name', 'cleaned', 'default_ephemeral_device', 'default_swap_device', 'deleted', 'deleted_at'],
  ...['disable_terminate', 'ephemeral_gb', 'ephemeral_key_uuid', 'id', 'key_data', 'launched_on', 'locked', 'memory_mb', 'os_type'],
  ...['reservation_id', 'root_gb', 'shutdown_terminate', 'user_data', 'vcpus', 'vm_mode'],
];

const serverFilters = [
  ...['user_id', 'project_id', 'tenant_id', 'launch_index', 'image_ref', 'image', 'kernel_id', 'ramdisk_id', 'hostname', 'key_name'],
  ...['power_state', 'vm_state', 'task_state', 'host', 'node', 'flavor', 'reservation_id', 'launched_at', 'terminated_at'],
  ...['availability_zone', 'name', 'display_name', 'description', 'display_description', 'locked_by', 'uuid', 'root_device_name'],
  ...['config_drive', 'access_ip_v4', 'access_ip_v6', 'auto_disk_config', 'progress', 'all_tenants', 'soft_deleted', 'deleted'],
  ...['status', 'ip', 'ip6', 'created_at'],
] as const;
const serverKeys: Readonly<Record<string, QueryKey>> = {
  ...Object.fromEntries(serverFilters.map((key) => [key, text])),
  ...paging(),
  sort_dir: direction,
  ...changes(1, 66),
  tags: since(26),
  'tags-any': since(26),
  'not-tags': since(26),
  'not-tags-any': since(26),
  locked: since(73),
};
const serversSortedUntil = querySchema({ ...serverKeys, sort_key: { value: OneOf(...serverSortKeys, ...formerSortKeys) } }, 75);
const serversSortedSince = querySchema({ ...serverKeys, sort_key: { value: OneOf(...serverSortKeys, 'locked') } }, 75);
export const ServersQuery = (minor: number) => (minor < 75 ? serversSortedUntil(minor) : serversSortedSince(minor));

export const flavorSortKeys = [
  ...['created_at', 'description', 'disabled', 'ephemeral_gb', 'flavorid', 'id', 'is_public', 'memory_mb', 'name', 'root_gb'],
  ...['rxtx_factor', 'swap', 'updated_at', 'vcpu_weight', 'vcpus'],
] as const;
export const FlavorsQuery = querySchema(
  {
    ...paging(),
    is_public: text,
    minRam: { value: QueryCount },
    minDisk: { value: QueryCount },
    sort_key: { value: OneOf(...flavorSortKeys) },
    sort_dir: direction,
  },
  75,
);

export const KeypairsQuery = querySchema({ user_id: since(10), ...paging(35) }, 75);
export const KeypairQuery = querySchema({ user_id: since(10) }, 75);

const withServers = { value: truth, since: 53, once: 53 };
export const HypervisorsQuery = querySchema(
  {
    ...paging(33, 53),
    hypervisor_hostname_pattern: { value: Type.String({ pattern: '^[a-zA-Z0-9._-]{1,255}$' }), since: 53, once: 53 },
    with_servers: withServers,
  },
  53,
);
export const HypervisorQuery = querySchema({ with_servers: withServers }, 53);
export const ServicesQuery = querySchema({ host: text, binary: text }, 75);

export const MigrationsQuery = querySchema(
  {
    ...Object.fromEntries(['hidden', 'host', 'instance_uuid', 'source_compute', 'status', 'migration_type'].map((key) => [key, text])),
    ...paging(59, 59),
    ...changes(59, 66, 59),
    user_id: { value: QueryText, since: 80, once: 80 },
    project_id: { value: QueryText, since: 80, once: 80 },
  },
  59,
);
export const InstanceActionsQuery = querySchema({ ...paging(58, 58), ...changes(58, 66, 58) }, 58);

export const ServerGroupsQuery = querySchema({ all_projects: text, limit: { value: QueryCount }, offset: { value: QueryCount } }, 75);
/** `openstack limits show --reserved` asks for `reserved`; nothing is. */
export const LimitsQuery = querySchema({ tenant_id: text, reserved: text }, 75);
export const QuotaSetQuery = querySchema({ user_id: text }, 75);
export const TenantUsagesQuery = querySchema({ start: text, end: text, detailed: text, ...paging(40) }, 75);
export const TenantUsageQuery = querySchema({ start: text, end: text, ...paging(40) }, 75);
export const AssistedSnapshotQuery = querySchema({ delete_info: { ...text, required: true } }, 75);
