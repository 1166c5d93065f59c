import { type Selectable, sql } from 'kysely';
import { zoneOfHost } from '../../hosts/host-zone.ts';
import type { FixedIpColumn, ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { type ShownServer, shownColumns } from './server-rows.ts';

/** What one reading takes: small enough to be garbage soon, and that other requests get their turn between two. */
const AT_ONCE = 250;

/**
 * Everything that a list shows of these servers, in their order, some at a time: a thousand rows kept at once are what collecting garbage takes longest for. The next ones are read while the caller works.
 * Three queries for each reading, however many servers, and no subquery for each row, whose plan would hang on statistics that may not be there yet.
 */
export async function* shownServers(
  db: Db,
  ids: readonly string[],
  atOnce = AT_ONCE,
): AsyncGenerator<readonly ShownServer[], void, undefined> {
  const hosts: Hosts = new Map();
  let reading = ids.length === 0 ? null : read(db, ids.slice(0, atOnce), hosts);
  for (let next = atOnce; reading !== null; next += atOnce) {
    const servers = await reading;
    reading = next < ids.length ? read(db, ids.slice(next, next + atOnce), hosts) : null;
    // A caller that gives up leaves it: its failure then is nobody's.
    reading?.catch(() => {});
    yield servers;
  }
}

type HostColumns = Pick<ShownServer, 'host_name' | 'host_enabled' | 'host_forced_down' | 'host_reachable' | 'zone'>;
type Hosts = Map<string, HostColumns>;
type OwnColumns = Pick<Selectable<ServerTable>, (typeof shownColumns)[number] | 'host_id' | 'requested_zone'>;

async function read(db: Db, ids: readonly string[], hosts: Hosts): Promise<readonly ShownServer[]> {
  const [{ rows }, ports] = await Promise.all([
    sql<OwnColumns>`select ${sql.join([...shownColumns, 'host_id', 'requested_zone'].map((name) => sql.ref(name)))} from server where id = any(${ids}::uuid[])`.execute(
      db,
    ),
    readPorts(db, ids),
  ]);
  await addHosts(db, new Set(rows.flatMap(({ host_id }) => host_id ?? [])), hosts);
  const byId = new Map(rows.map((row) => [row.id, row]));
  return ids.flatMap((id) => {
    const row = byId.get(id);
    return row === undefined ? [] : [{ ...row, ...hostOf(row, hosts), ...(ports.get(id) ?? noPorts) }];
  });
}

const hostOf = ({ host_id, requested_zone }: OwnColumns, hosts: Hosts): HostColumns =>
  (host_id === null ? undefined : hosts.get(host_id)) ?? {
    host_name: null,
    host_enabled: null,
    host_forced_down: null,
    host_reachable: null,
    zone: requested_zone,
  };

/** The hosts that are not known yet. */
async function addHosts(db: Db, ids: ReadonlySet<string>, hosts: Hosts): Promise<void> {
  const unknown = [...ids].filter((id) => !hosts.has(id));
  if (unknown.length === 0) return;
  const { rows } = await sql<HostColumns & { readonly id: string }>`
    select id, name as host_name, enabled as host_enabled, forced_down as host_forced_down, reachable as host_reachable, ${zoneOfHost('host.id')} as zone
    from host where id = any(${unknown}::uuid[])`.execute(db);
  for (const { id, ...host } of rows) hosts.set(id, host);
}

type PortColumns = Pick<ShownServer, 'ports' | 'security_groups'>;
const noPorts: PortColumns = { ports: [], security_groups: [] };

type PortRow = {
  readonly server_id: string;
  readonly network: string;
  readonly mac: string;
  readonly fixed_ips: readonly FixedIpColumn[];
  /** Id and name of each. */
  readonly groups: readonly (readonly [string, string])[] | null;
};

async function readPorts(db: Db, serverIds: readonly string[]): Promise<ReadonlyMap<string, PortColumns>> {
  const { rows } = await sql<PortRow>`
    select p.server_id, n.name as network, p.mac::text as mac, p.fixed_ips,
      (select json_agg(json_build_array(g.id, g.name)) from (select ps.security_group_id as id from port_security_group ps where ps.port_id = p.id offset 0) own
        join security_group g on g.id = own.id) as groups
    from (select * from port where server_id = any(${serverIds}::uuid[]) offset 0) p join network n on n.id = p.network_id
    order by p.device_index, p.id`.execute(db);
  const byServer = Map.groupBy(rows, (row) => row.server_id);
  return new Map(
    [...byServer].map(([serverId, ports]) => [
      serverId,
      {
        ports: ports.map(({ network, mac, fixed_ips }) => ({ network, mac, fixedIps: fixed_ips })),
        security_groups: namesOf(ports),
      },
    ]),
  );
}

/** Each group once, by name; two groups may have the same. */
function namesOf(ports: readonly PortRow[]): readonly string[] {
  const names = new Map(ports.flatMap(({ groups }) => groups ?? []));
  return names.size < 2
    ? [...names.values()]
    : [...names].toSorted(([idA, a], [idB, b]) => (a === b ? compare(idA, idB) : compare(a, b))).map(([, name]) => name);
}

const compare = (a: string, b: string): number => (a < b ? -1 : a > b ? 1 : 0);
