import type { MoveMethod } from '@godwit/domain/drain-plan/fleet-operation';
import type { PlannedServer } from '@godwit/domain/drain-plan/planned-server';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import type { VmState } from '@godwit/domain/server';
import { checkAction, type ServerAction, serverStatus } from '@godwit/domain/server-states';
import type { Db } from '../../store/database.ts';
import { demandStorage } from '../accept/live-migrate.ts';
import { localDiskSentence } from '../evacuate/accept-evacuate.ts';
import { loadDemand } from '../scheduling/load-demand.ts';

/** By whose rules servers leave: `bulk` moves what runs, `drain` also what is stopped, `evacuate` restarts what a dead host had. */
export type PlanKind = 'bulk' | 'drain' | 'evacuate';

export type FleetServer = {
  readonly id: ServerId;
  readonly name: string;
  readonly projectId: string;
  readonly status: string;
  readonly host: { readonly id: HostId; readonly name: string } | null;
};

/** A server that cannot be moved for a reason of its own, whatever the hosts say. */
export type Excluded = { readonly server: FleetServer; readonly code: string; readonly reason: string; readonly remedy: string | null };

export type LoadOptions = {
  readonly kind: PlanKind;
  readonly blockMigration: boolean | 'auto';
  /** Name of the one host that the server may go to, if there is one. */
  readonly onlyHost: (server: ServerId) => string | null;
};

export type LoadedServers = {
  readonly planned: readonly PlannedServer[];
  readonly excluded: readonly Excluded[];
  readonly servers: ReadonlyMap<ServerId, FleetServer>;
};

/** An admin of no project: whoever may ask for a fleet operation may move any server. */
const anyAdmin = { projectId: '', roles: ['admin'], isAdmin: true } as const;
/** Demands that are read at the same time; below the size of the pool of connections. */
const AT_ONCE = 6;

/** What the planner has to know of these servers, and which of them cannot be moved as they are. Servers that are gone are left out. */
export async function loadPlanned(db: Db, ids: readonly string[], options: LoadOptions): Promise<LoadedServers> {
  const servers = new Map<ServerId, FleetServer>();
  const excluded: Excluded[] = [];
  const movable: { readonly id: ServerId; readonly host: NonNullable<FleetServer['host']>; readonly method: MoveMethod }[] = [];
  const rows =
    ids.length === 0
      ? []
      : await db
          .selectFrom('server')
          .leftJoin('host', 'host.id', 'server.host_id')
          .select([
            'server.id',
            'server.name',
            'server.project_id',
            'server.vm_state',
            'server.task_state',
            'server.locked',
            'server.host_id',
          ])
          .select(['host.name as host_name', 'host.hypervisor_type'])
          .where('server.id', 'in', [...ids])
          .where('server.deleted_at', 'is', null)
          .execute();
  const byId = new Map(rows.map((row) => [row.id, row]));
  for (const row of ids.flatMap((id) => byId.get(id) ?? [])) {
    const id = as<ServerId>(row.id);
    const host = row.host_id === null || row.host_name === null ? null : { id: as<HostId>(row.host_id), name: row.host_name };
    const server = { id, name: row.name, projectId: row.project_id, status: serverStatus(row.vm_state, row.task_state), host };
    servers.set(id, server);
    const method = methodOf(options.kind, row.vm_state);
    const verdict = checkAction(
      actions[method],
      {
        id: row.id,
        projectId: row.project_id,
        vmState: row.vm_state,
        taskState: row.task_state,
        locked: row.locked,
        hypervisorType: row.hypervisor_type,
      },
      anyAdmin,
    );
    if (host === null)
      excluded.push({ server, code: 'InvalidState', reason: 'It is on no host.', remedy: remedyOf(row.vm_state, row.task_state !== null) });
    else if (!verdict.ok)
      excluded.push({
        server,
        code: verdict.code,
        reason: verdict.message,
        remedy: verdict.code === 'BareMetalCannotMigrate' ? null : remedyOf(row.vm_state, row.task_state !== null),
      });
    else movable.push({ id, host, method });
  }
  const planned: (PlannedServer | null)[] = [];
  for (let at = 0; at < movable.length; at += AT_ONCE) {
    const some = movable.slice(at, at + AT_ONCE).map(async ({ id, host, method }) => {
      const refusal =
        method === 'live' ? await storageRefusal(db, id, options.blockMigration) : method === 'restart' ? await lostDisk(db, id) : null;
      const server = servers.get(id);
      if (refusal !== null && server !== undefined) {
        excluded.push({ server, ...refusal });
        return null;
      }
      return planOne(db, id, host, method, options);
    });
    planned.push(...(await Promise.all(some)));
  }
  return { planned: planned.filter((one) => one !== null), excluded, servers };
}

const actions: Readonly<Record<MoveMethod, ServerAction>> = { live: 'live-migrate', cold: 'migrate', restart: 'evacuate' };
const kinds = { live: 'live-migration', cold: 'migration', restart: 'evacuation' } as const;

export function methodOf(kind: PlanKind, vmState: VmState): MoveMethod {
  switch (kind) {
    case 'bulk':
      return 'live';
    case 'drain':
      return vmState === 'stopped' ? 'cold' : 'live';
    case 'evacuate':
      return 'restart';
  }
}

async function planOne(
  db: Db,
  id: ServerId,
  host: NonNullable<FleetServer['host']>,
  method: MoveMethod,
  options: LoadOptions,
): Promise<PlannedServer> {
  const demand = await loadDemand(db, id, {
    kind: kinds[method],
    requestedHost: options.onlyHost(id),
    copiesLocalDisks: method === 'cold' || (method === 'live' && options.blockMigration !== false),
    excludedHosts: [],
  });
  const local = demand.disks.reduce((sum, disk) => sum + (disk.kind === 'local' ? disk.neededBytes : 0), 0);
  const ram = method === 'live' ? demand.flavor.ramMib * 2 ** 20 : 0;
  return { demand: { ...demand, currentHost: demand.currentHost ?? host }, method, bytes: ram + local };
}

/** Why a running server's disks cannot be moved as asked, in the words of the single move; null: they can. */
async function storageRefusal(db: Db, id: ServerId, blockMigration: boolean | 'auto') {
  try {
    await demandStorage(db as Parameters<typeof demandStorage>[0], id, blockMigration);
    return null;
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    const remedies: Partial<Record<typeof error.code, string>> = {
      InvalidSharedStorage: 'ask for block migration, or for "auto"',
      InvalidLocalStorage: 'ask without block migration, or for "auto"',
    };
    return { code: error.code, reason: error.message, remedy: remedies[error.code] ?? null };
  }
}

/** A disk that went with its dead host; null: there is none. */
async function lostDisk(db: Db, id: ServerId) {
  const local = await db.selectFrom('disk').select('pool').where('server_id', '=', id).where('storage', '=', 'local').executeTakeFirst();
  return local === undefined
    ? null
    : { code: 'InvalidSharedStorage', reason: localDiskSentence(id, local.pool), remedy: 'wait for the host, or mend it' };
}

/** What brings a server into a state in which it can be moved. */
function remedyOf(vmState: VmState, busy: boolean): string | null {
  if (busy) return 'wait until its task has ended';
  switch (vmState) {
    case 'resized':
      return 'confirm or revert its resize or migration';
    case 'suspended':
      return 'resume it';
    case 'stopped':
      return 'start it, or migrate it cold (a drain does)';
    case 'error':
      return 'mend or delete it: reset its state once what is wrong is known';
    case 'rescued':
      return 'unrescue it';
    case 'shelved':
      return 'unshelve it, or offload it';
    case 'building':
      return 'wait until it is built';
    case 'active':
    case 'paused':
    case 'deleted':
    case 'soft-delete':
    case 'shelved_offloaded':
      return null;
  }
}
