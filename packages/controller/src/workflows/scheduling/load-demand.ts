import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import { as, type HostId, type ServerGroupId, type ServerId } from '@godwit/domain/ids';
import { ramOf, requiredHypervisorType, requiredStorage, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import type { DecisionKind, DemandedDisk, DemandedGroup, GroupMember, ServerDemand } from '@godwit/domain/scheduling/server-demand';
import { type Selectable, sql } from 'kysely';
import type { DiskTable, FlavorSnapshot } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { machineHasGuestAgent } from '../server/machine-guest-agent.ts';
import type { ServerRecord } from '../server/server-record.ts';

export type DemandOptions = {
  readonly kind: DecisionKind;
  /** Name of the host that the request asks for. */
  readonly requestedHost: string | null;
  readonly copiesLocalDisks: boolean;
  /** A local disk need not fit at its full size. */
  readonly diskOverCommit?: boolean;
  readonly excludedHosts: readonly { readonly id: HostId; readonly reason: string }[];
  /** The flavor that the server is to have (resize); without one, its own. */
  readonly flavor?: FlavorSnapshot;
};

/** Everything that a server asks of a host, from the database. A requested host that does not exist matches none (an id that is nobody's). */
export async function loadDemand(db: Db, serverId: ServerId, options: DemandOptions): Promise<ServerDemand> {
  const { current, disks, ports, grouped, ...server } = await readWithBelongings(db, serverId);
  const [requested, group, sameHost, differentHost] = await Promise.all([
    options.requestedHost === null
      ? undefined
      : db
          .selectFrom('host')
          .select(['id', 'name'])
          .where('name', '=', options.requestedHost)
          .where('deleted_at', 'is', null)
          .executeTakeFirst(),
    grouped ? loadGroup(db, serverId) : null,
    loadSameHost(db, server.scheduler_hints.same_host ?? [], options.kind === 'create'),
    loadMembers(db, server.scheduler_hints.different_host ?? []),
  ]);
  const moving = options.kind === 'live-migration';
  const flavor = options.flavor ?? server.flavor;
  return {
    kind: options.kind,
    server: { id: serverId, name: server.name },
    flavor: {
      name: flavor.name,
      vcpus: vcpusOf(flavor),
      ramMib: ramOf(flavor),
      diskGib: flavor.disk_gib,
      extraSpecs: flavor.extra_specs,
    },
    hypervisorType: requiredHypervisorType(flavor.extra_specs),
    disks:
      options.kind === 'create' || options.kind === 'unshelve'
        ? await newDisks(db, { ...server, image_id: server.shelved?.imageId ?? server.image_id })
        : disks.map((disk): DemandedDisk => {
            if (disk.storage === 'local')
              return { kind: 'local', pool: disk.pool, neededBytes: options.diskOverCommit === true ? 0 : disk.size_bytes };
            return {
              kind: 'shared',
              pool: disk.pool,
              poolId: current?.facts.pools.find((pool) => pool.name === disk.pool && pool.kind === 'shared')?.poolId ?? null,
            };
          }),
    copiesLocalDisks: options.copiesLocalDisks,
    networks: ports.map(({ name, bridge, vlan }) => ({ name, bridge, vlan })),
    group,
    hints: { sameHost, differentHost },
    requestedZone: server.requested_zone,
    requestedHost:
      options.requestedHost === null
        ? null
        : { id: as<HostId>(requested?.id ?? '00000000-0000-0000-0000-000000000000'), name: options.requestedHost },
    currentHost: options.kind === 'create' || current === null ? null : { id: as<HostId>(current.id), name: current.name },
    excludedHosts: options.excludedHosts,
    machineType: server.machine_type,
    // A controller that knew no layouts has launched it: with the first.
    deviceLayout: server.device_layout ?? (server.launched_at === null ? null : 1),
    guestAgent: moving ? machineHasGuestAgent(server) : server.guest_agent,
    portPlaces: ports.map((port, position) => port.device_index ?? position),
    cpuFeatures: moving && current !== null ? current.facts.cpuFeatures : null,
    cpuModel: moving ? server.cpu_model : null,
    // Its own QEMU may be older than the one installed on its host since.
    runningOn:
      moving && current !== null
        ? { qemuVersion: server.qemu_version ?? current.facts.qemuVersion, accelerator: current.facts.accelerator }
        : null,
  };
}

type Belongings = {
  readonly current: { readonly id: string; readonly name: string; readonly facts: HostFacts } | null;
  readonly disks: readonly Pick<Selectable<DiskTable>, 'storage' | 'pool' | 'size_bytes'>[];
  readonly ports: readonly {
    readonly name: string;
    readonly bridge: string | null;
    readonly vlan: number | null;
    readonly device_index: number | null;
  }[];
  readonly grouped: boolean;
};

/** The server's row with what belongs to it, in one statement: every move and every start asks for it. */
async function readWithBelongings(db: Db, serverId: ServerId): Promise<ServerRecord & Belongings> {
  const row = await db
    .selectFrom('server')
    .selectAll('server')
    .select([
      sql<
        Belongings['current']
      >`(select json_build_object('id', h.id, 'name', h.name, 'facts', h.facts) from host h where h.id = server.host_id)`.as('current'),
      sql<
        Belongings['disks']
      >`coalesce((select json_agg(json_build_object('storage', d.storage, 'pool', d.pool, 'size_bytes', d.size_bytes) order by d.device_index)
        from disk d where d.server_id = server.id), '[]')`.as('disks'),
      sql<
        Belongings['ports']
      >`coalesce((select json_agg(json_build_object('name', n.name, 'bridge', n.bridge, 'vlan', n.vlan, 'device_index', p.device_index) order by p.device_index)
        from port p join network n on n.id = p.network_id where p.server_id = server.id), '[]')`.as('ports'),
      sql<boolean>`exists (select from server_group_member m where m.server_id = server.id)`.as('grouped'),
    ])
    .where('server.id', '=', serverId)
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('ServerNotFound', `Instance ${serverId} could not be found.`);
  return row;
}

/** The disks that a new server will have: its root disk, as large as the flavor says, or as the image where that says 0. */
async function newDisks(
  db: Db,
  server: { image_id: string | null; flavor: { disk_gib: number; extra_specs: Readonly<Record<string, string>> } },
): Promise<readonly DemandedDisk[]> {
  const bytes = await rootDiskBytes(db, server);
  return bytes === 0 ? [] : [{ kind: 'new', storage: requiredStorage(server.flavor.extra_specs), neededBytes: bytes }];
}

/** Size of the root disk in bytes; 0: the server has none. */
export async function rootDiskBytes(
  db: Db,
  server: { image_id: string | null; flavor: { disk_gib: number; extra_specs: Readonly<Record<string, string>> } },
): Promise<number> {
  if (requiredHypervisorType(server.flavor.extra_specs) === 'ironic') return 0;
  if (server.flavor.disk_gib > 0) return server.flavor.disk_gib * 2 ** 30;
  if (server.image_id === null) return 0;
  const image = await db
    .selectFrom('image')
    .select(['virtual_size_bytes', 'size_bytes'])
    .where('id', '=', server.image_id)
    .executeTakeFirst();
  const bytes = image?.virtual_size_bytes ?? image?.size_bytes ?? 0;
  return Math.ceil(bytes / 2 ** 20) * 2 ** 20;
}

async function loadGroup(db: Db, serverId: ServerId): Promise<DemandedGroup | null> {
  const group = await db
    .selectFrom('server_group_member')
    .innerJoin('server_group', 'server_group.id', 'server_group_member.group_id')
    .selectAll('server_group')
    .where('server_group_member.server_id', '=', serverId)
    .where('server_group.deleted_at', 'is', null)
    .executeTakeFirst();
  if (group === undefined) return null;
  const members = await db
    .selectFrom('server_group_member')
    .select('server_id')
    .where('group_id', '=', group.id)
    .where('server_id', '<>', serverId)
    .execute();
  return {
    id: as<ServerGroupId>(group.id),
    name: group.name,
    policy: group.policy,
    maxServerPerHost: group.max_server_per_host,
    members: await loadMembers(
      db,
      members.map((member) => member.server_id),
    ),
  };
}

/** When a server is made, one that is not there is nowhere, and no host is the same as its; one that has gone since binds nobody. */
async function loadSameHost(db: Db, serverIds: readonly string[], isNew: boolean): Promise<readonly GroupMember[]> {
  const found = await loadMembers(db, serverIds);
  if (!isNew) return found;
  const missing = serverIds.filter((id) => !found.some((member) => member.id === id.toLowerCase()));
  return [...found, ...missing.map((id) => ({ id: as<ServerId>(id), name: id, hosts: [] }))];
}

/** Live servers with every host that holds resources for them. */
async function loadMembers(db: Db, serverIds: readonly string[]): Promise<readonly GroupMember[]> {
  if (serverIds.length === 0) return [];
  const rows = await db
    .selectFrom('server')
    .select([
      'server.id',
      'server.name',
      sql<
        { id: HostId; name: string }[]
      >`coalesce((select json_agg(distinct jsonb_build_object('id', h.id, 'name', h.name)) from allocation a join host h on h.id = a.host_id where a.server_id = server.id), '[]')`.as(
        'hosts',
      ),
    ])
    .where('server.id', 'in', [...serverIds])
    .where('server.deleted_at', 'is', null)
    .execute();
  return rows.map((row) => ({ id: as<ServerId>(row.id), name: row.name, hosts: row.hosts }));
}
