import { CloudModel } from '@godwit/domain/drain-plan/cloud-model';
import { otherDestination } from '@godwit/domain/drain-plan/other-destination';
import { planDrain } from '@godwit/domain/drain-plan/plan-drain';
import { idOf, type PlannedServer } from '@godwit/domain/drain-plan/planned-server';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { explainRejection } from '@godwit/domain/scheduling/explain';
import type { Snapshot } from '@godwit/domain/scheduling/snapshot';
import type { Tx } from '../../store/database.ts';
import { acceptLiveMigrate } from '../accept/live-migrate.ts';
import { acceptMigrate } from '../accept/migrate.ts';
import { acceptEvacuate } from '../evacuate/accept-evacuate.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { demandCharge } from './charge.ts';
import { measureLinks } from './link-facts.ts';
import { type Excluded, type LoadedServers, loadPlanned } from './load-planned.ts';
import { planningSnapshot } from './make-plan.ts';
import { type Operation, type OperationItemRow, planKindOf, readHosts, readItems } from './operation-rows.ts';
import { callerOf } from './settle-items.ts';
import { endedBy, writeItem } from './write-item.ts';

/** How long a server whose own task is in the way is waited for, once nothing else is left to do. */
const BUSY_MS = 120_000;

/** Where an item goes now, and why that is not where it was planned. */
type Choice = { readonly to: HostId; readonly name: string; readonly note: string | null };

/**
 * Begins as many waiting items as may begin now. Each is decided again, on the hosts and groups as they are: where the planned host still passes it is taken; where it does not, the rest is planned
 * anew and the item goes where that says; a pinned one fails. Items keep their order, so that one that makes room comes before the one that needs it.
 */
export async function beginItems(context: WorkflowContext, run: WorkflowRun, operation: Operation): Promise<void> {
  for (;;) {
    checkpoint(run);
    const items = await readItems(context.db, operation.id);
    const moving = items.filter(({ state }) => state === 'moving');
    const hosts = new Map((await readHosts(context.db, operation.id)).map((host) => [host.host_id, host.step]));
    // What leaves a host whose turn has not come waits for it; what comes home from there, or makes room for others, does not.
    const early = (item: OperationItemRow): boolean =>
      item.direction === 'away' && !item.makes_room && hosts.get(item.source_host_id ?? '') === 'waiting';
    const waiting = items.filter((item) => item.state === 'waiting' && !early(item));
    if (waiting.length === 0) return;
    const onTheWay = await notTaken(context, moving);
    if (onTheWay.length >= operation.parallel) return;
    const { state } = await context.db
      .selectFrom('fleet_operation')
      .select('state')
      .where('id', '=', operation.id)
      .executeTakeFirstOrThrow();
    if (state !== 'running') return;
    if (!(await beginNext(context, run, operation, waiting, { moving, onTheWay }))) return;
  }
}

/** False: nothing can begin before something has ended, or a server's own task has. */
async function beginNext(
  context: WorkflowContext,
  run: WorkflowRun,
  operation: Operation,
  waiting: readonly OperationItemRow[],
  { moving, onTheWay }: { readonly moving: readonly OperationItemRow[]; readonly onTheWay: readonly OperationItemRow[] },
): Promise<boolean> {
  const busy = await busyServers(context, waiting);
  const ready = waiting.filter((item) => !busy.has(item.server_id));
  if (ready.length === 0) {
    if (moving.length > 0 || Date.now() - operation.updated_at.getTime() < BUSY_MS) return false;
    for (const item of waiting)
      await end(
        context,
        run,
        item,
        endedBy(
          'failed',
          'InvalidState',
          `It has a task that does not end: ${busy.get(item.server_id) ?? ''}.`,
          'wait until its task has ended',
        ),
      );
    return true;
  }
  const snapshot = await planningSnapshot(context, context.db, await emptiedHosts(context, operation));
  const passedOver: OperationItemRow[] = [];
  for (const item of ready) {
    if (linksFull(context, item, onTheWay) || passedOver.some((earlier) => shareHosts(earlier, item))) {
      passedOver.push(item);
      continue;
    }
    const loaded = await load(context, operation, [item]);
    const [server] = loaded.planned;
    if (server === undefined) {
      await endOutOfReach(context, run, item, loaded);
      return true;
    }
    // Whether the order of two of a group matters is only known when both are looked at.
    if (passedOver.length > 0 && tied(server)) {
      passedOver.push(item);
      continue;
    }
    if (item.source_host_id !== null && server.demand.currentHost.id !== item.source_host_id) {
      await end(
        context,
        run,
        item,
        endedBy('skipped', 'MovedMeanwhile', `It has left its host meanwhile and is on ${server.demand.currentHost.name}.`),
      );
      return true;
    }
    const planned = asPlanned(snapshot, server, item);
    if (planned?.kind === 'go') return begin(context, run, operation, item, server, planned.choice);
    // What moves may make room: what is left is planned anew when it has ended.
    if (moving.length > 0 && planned?.kind !== 'softer' && (planned !== null || item.pinned)) return false;
    if (item.pinned) {
      await end(context, run, item, endedBy('failed', 'NoValidHost', planned?.because ?? 'The host that it is pinned to is gone.'));
      return true;
    }
    return replan(context, run, operation, snapshot, {
      ready,
      first: item,
      because: planned?.because ?? null,
      othersMayMakeRoom: busy.size > 0 || moving.length > 0,
    });
  }
  return false;
}

/** The servers that have a task of their own, with its name. */
async function busyServers(context: WorkflowContext, items: readonly OperationItemRow[]): Promise<ReadonlyMap<string, string>> {
  const rows = await context.db
    .selectFrom('server')
    .select(['id', 'task_state'])
    .where(
      'id',
      'in',
      items.map(({ server_id }) => server_id),
    )
    .where('task_state', 'is not', null)
    .where('deleted_at', 'is', null)
    .execute();
  return new Map(rows.map(({ id, task_state }) => [id, task_state ?? '']));
}

/**
 * Those whose guest has not arrived yet. One that a destination has taken only waits for that host's word, for as long as it is silent, and no longer uses a link: the others do not wait for it.
 */
async function notTaken(context: WorkflowContext, moving: readonly OperationItemRow[]): Promise<readonly OperationItemRow[]> {
  const ids = moving.flatMap(({ migration_id }) => (migration_id === null ? [] : [migration_id]));
  if (ids.length === 0) return moving;
  const taken = await context.db
    .selectFrom('migration')
    .select('id')
    .where('id', 'in', ids)
    .where('type', '=', 'live-migration')
    .where('phase', '=', 'committing')
    .execute();
  return moving.filter((item) => !taken.some(({ id }) => id === item.migration_id));
}

/** Whether the links of its hosts carry as many moves of this operation as they may: it would only wait in the queue, holding what it has claimed. */
function linksFull({ config: { limits } }: WorkflowContext, item: OperationItemRow, onTheWay: readonly OperationItemRow[]): boolean {
  // A restart copies nothing.
  if (item.method === 'restart') return false;
  const leaving = onTheWay.filter((one) => one.source_host_id === item.source_host_id).length;
  const arriving = onTheWay.filter((one) => one.destination_host_id === item.planned_host_id).length;
  return leaving >= limits.outgoingPerHost || (item.planned_host_id !== null && arriving >= limits.incomingPerHost);
}

/** Whether the order of the two can matter by the hosts that they leave and come to. */
function shareHosts(earlier: OperationItemRow, later: OperationItemRow): boolean {
  const [from, to] = [later.source_host_id, later.planned_host_id];
  return (
    to === null ||
    earlier.planned_host_id === null ||
    to === earlier.planned_host_id ||
    to === earlier.source_host_id ||
    from === earlier.planned_host_id
  );
}

const tied = ({ demand: { group, hints } }: PlannedServer): boolean =>
  group !== null || hints.sameHost.length > 0 || hints.differentHost.length > 0;

/** The hosts that this operation empties: nothing of it goes there. */
async function emptiedHosts(context: WorkflowContext, operation: Operation): Promise<readonly string[]> {
  if (operation.kind === 'bulk' || operation.kind === 'restore') return [];
  const hosts = await readHosts(context.db, operation.id);
  return hosts
    .filter(({ step }) => step !== 'waiting' && step !== 'restoring' && step !== 'restored' && step !== 'cancelled')
    .map(({ name }) => name);
}

async function load(context: WorkflowContext, operation: Operation, items: readonly OperationItemRow[]): Promise<LoadedServers> {
  const { db } = context;
  const pinned = items.flatMap((item) => (item.pinned && item.planned_host_id !== null ? [item.planned_host_id] : []));
  const hosts = pinned.length === 0 ? [] : await db.selectFrom('host').select(['id', 'name']).where('id', 'in', pinned).execute();
  const nameOf = new Map(hosts.map(({ id, name }) => [id, name]));
  const only = new Map(items.map((item) => [item.server_id, item.pinned ? (nameOf.get(item.planned_host_id ?? '') ?? null) : null]));
  return loadPlanned(
    db,
    items.map((item) => item.server_id),
    {
      kind: planKindOf(operation),
      blockMigration: operation.block_migration === 'auto' ? 'auto' : operation.block_migration === 'true',
      onlyHost: (id) => only.get(id) ?? operation.destination,
    },
  );
}

/** A server that cannot be moved as it is now: gone, or in another state than when the operation began. */
async function endOutOfReach(context: WorkflowContext, run: WorkflowRun, item: OperationItemRow, loaded: LoadedServers): Promise<void> {
  const known = loaded.servers.get(as<ServerId>(item.server_id));
  const why: Excluded | undefined = loaded.excluded[0];
  await end(
    context,
    run,
    item,
    known === undefined
      ? endedBy('skipped', 'ServerDeleted', 'The server has been deleted.')
      : endedBy('failed', why?.code ?? 'InvalidState', why?.reason ?? 'It cannot be moved now.', why?.remedy ?? null),
  );
}

type AsPlanned = { readonly kind: 'go'; readonly choice: Choice } | { readonly kind: 'refused' | 'softer'; readonly because: string };

/** Whether the planned host still takes the server, and by no worse a soft group rule than another would; null: no host was planned. */
function asPlanned(snapshot: Snapshot, server: PlannedServer, item: OperationItemRow): AsPlanned | null {
  if (item.planned_host_id === null) return null;
  const model = new CloudModel(snapshot);
  const host = snapshot.hosts.find(({ id }) => id === item.planned_host_id);
  if (host === undefined) return { kind: 'refused', because: 'the planned host is no longer part of the cloud' };
  const on = model.decideOn(server, host.id);
  const rejections = on.rejectionsOf(0);
  if (rejections.length > 0)
    return { kind: 'refused', because: `${host.name}: ${rejections.map((one) => explainRejection(one, on.demand).sentence).join('; ')}` };
  if (!item.pinned && on.demand.group !== null) {
    const soft = (weights: readonly { readonly weigher: string; readonly weight: number }[]) =>
      weights.find(({ weigher }) => weigher === 'soft-group')?.weight ?? 0;
    const best = model.decide(server, { seed: 0, limit: 1 }).chosen[0];
    const here = on.chosen[0];
    if (best !== undefined && here !== undefined && soft(best.weights) < soft(here.weights))
      return { kind: 'softer', because: `the group's ${on.demand.group.policy} rule is kept better elsewhere now` };
  }
  return { kind: 'go', choice: { to: host.id, name: host.name, note: null } };
}

type Left = {
  readonly ready: readonly OperationItemRow[];
  readonly first: OperationItemRow;
  /** Why the first does not go where it was planned. */
  readonly because: string | null;
  readonly othersMayMakeRoom: boolean;
};

/** Plans everything that waits anew, and begins what that plan moves first. What it has no place for fails when nothing else is left that could make room. */
async function replan(
  context: WorkflowContext,
  run: WorkflowRun,
  operation: Operation,
  snapshot: Snapshot,
  { ready, first, because, othersMayMakeRoom }: Left,
): Promise<boolean> {
  const loaded = await load(context, operation, ready);
  const links = await measureLinks(context.db, context.config.limits, 1);
  const plan = planDrain(snapshot, loaded.planned, { seed: run.fence, others: [], links: links.facts });
  const [next] = plan.moves;
  const itemOf = (server: PlannedServer): OperationItemRow | undefined => ready.find((item) => item.server_id === idOf(server));
  const item = next === undefined ? undefined : itemOf(next.server);
  if (next !== undefined && item !== undefined) {
    const elsewhere = item.planned_host_id !== null && item.planned_host_id !== next.to.id;
    const planned = elsewhere ? (snapshot.hosts.find(({ id }) => id === item.planned_host_id)?.name ?? 'a host that is gone') : '';
    const again = item === first ? null : asPlanned(snapshot, next.server, item);
    const why = item === first ? because : again !== null && again.kind !== 'go' ? again.because : null;
    return begin(context, run, operation, item, next.server, {
      to: next.to.id,
      name: next.to.name,
      note: elsewhere ? otherDestination(planned, next.to.name, why ?? `what is still to be moved fits so: ${next.why.join(', ')}`) : null,
    });
  }
  if (othersMayMakeRoom) return false;
  for (const unplaced of plan.unplaced) {
    const left = itemOf(unplaced.server);
    if (left !== undefined) await end(context, run, left, endedBy('failed', unplaced.code, unplaced.reason, unplaced.remedy));
  }
  return plan.unplaced.length > 0;
}

/** The move is accepted and the item says so, in one transaction: a run that ends in between leaves neither. */
async function begin(
  context: WorkflowContext,
  run: WorkflowRun,
  operation: Operation,
  item: OperationItemRow,
  server: PlannedServer,
  choice: Choice,
): Promise<boolean> {
  await context.faultPoint('fleet:decided');
  try {
    await context.db.transaction().execute(async (tx) => {
      const now = await demandCharge(tx, run, operation.id);
      if (now.state !== 'running') return;
      const migrationId = await accept(tx, context, operation, server, choice.name);
      await writeItem(tx, run, item, {
        state: 'moving',
        method: server.method,
        attempt: item.attempt + 1,
        migration_id: migrationId,
        destination_host_id: choice.to,
        note: choice.note,
        cause: null,
        started_at: new Date(),
      });
    });
    await context.faultPoint('fleet:accepted');
    return true;
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    await end(context, run, item, endedBy('failed', error.code, error.message));
    return true;
  }
}

/** The single move, with all its own checks, as if it had been asked for by itself. */
async function accept(
  tx: Tx,
  { workflows, config }: WorkflowContext,
  operation: Operation,
  server: PlannedServer,
  host: string,
): Promise<MigrationId> {
  const caller = callerOf(operation);
  switch (server.method) {
    case 'live':
      return acceptLiveMigrate(tx, workflows, config, caller, idOf(server), {
        host,
        blockMigration: operation.block_migration === 'auto' ? 'auto' : operation.block_migration === 'true',
        force: false,
        checksBeforeAnswer: false,
      });
    case 'cold':
      return acceptMigrate(tx, workflows, caller, idOf(server), { host });
    case 'restart':
      return acceptEvacuate(tx, workflows, caller, idOf(server), { host });
  }
}

const end = (context: WorkflowContext, run: WorkflowRun, item: OperationItemRow, values: Parameters<typeof writeItem>[3]): Promise<void> =>
  context.db.transaction().execute((tx) => writeItem(tx, run, item, values));
