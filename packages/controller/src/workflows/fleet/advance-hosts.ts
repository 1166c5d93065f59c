import { type HostStep, itemHasEnded } from '@godwit/domain/drain-plan/fleet-operation';
import { planDrain } from '@godwit/domain/drain-plan/plan-drain';
import type { Updateable } from 'kysely';
import { switchHost } from '../../hosts/switch-host.ts';
import type { Db } from '../../store/database.ts';
import type { FleetHostTable } from '../../store/fleet-tables.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { insertItems, itemsOf, type NewItem } from './accept-operation.ts';
import { homecoming, leftIn } from './accept-restore.ts';
import { demandCharge } from './charge.ts';
import { measureLinks } from './link-facts.ts';
import { loadPlanned } from './load-planned.ts';
import { planningSnapshot } from './make-plan.ts';
import {
  type Operation,
  type OperationHostRow,
  type OperationItemRow,
  planKindOf,
  readHosts,
  readItems,
  tellOperation,
} from './operation-rows.ts';
import { proveEmpty } from './prove-empty.ts';

/** How long a busy server, a move of somebody else's or an agent that does not answer holds up the verdict on a host. */
const PATIENCE_MS = 120_000;

/** A host in one of these counts among the operation's "at most k at once". */
const underWay: ReadonlySet<HostStep> = new Set<HostStep>(['draining', 'restoring']);
/** The same of a rolling operation, which holds a host until its work is done. */
const held: ReadonlySet<HostStep> = new Set<HostStep>(['in-maintenance', 'not-empty']);

/**
 * Takes every host of the operation as far as it can go now: begins the next when there is room, finds what has come to a host meanwhile, proves hosts empty, and in a rolling operation brings back those whose
 * work is done. True when every host is where the operation leaves it.
 */
export async function advanceHosts(context: WorkflowContext, run: WorkflowRun, operation: Operation): Promise<boolean> {
  for (const host of await readHosts(context.db, operation.id)) {
    checkpoint(run);
    await advance(context, run, operation, host);
  }
  const hosts = await readHosts(context.db, operation.id);
  return hosts.every(({ step }) => isFinal(operation, step));
}

function isFinal({ kind }: Operation, step: HostStep): boolean {
  switch (step) {
    case 'waiting':
    case 'draining':
    case 'restoring':
      return false;
    case 'empty':
    case 'restored':
    case 'cancelled':
      return true;
    case 'not-empty':
    case 'in-maintenance':
      return kind !== 'rolling';
  }
}

async function advance(context: WorkflowContext, run: WorkflowRun, operation: Operation, host: OperationHostRow): Promise<void> {
  const items = (await readItems(context.db, operation.id)).filter((item) => belongs(item, host));
  const settled = items.every(({ state }) => itemHasEnded(state));
  switch (host.step) {
    case 'waiting':
      if (operation.state === 'aborting') return write(context, run, host, { step: 'cancelled' });
      if (operation.state === 'running' && (await mayBegin(context.db, operation))) return beginHost(context, run, operation, host);
      return;
    case 'draining':
      if (!settled) return;
      if (operation.state === 'aborting') return write(context, run, host, { step: 'cancelled' });
      if (operation.state === 'running' && (await takeUpTheRest(context, run, operation, host, items))) return;
      return concludeDraining(context, run, operation, host);
    case 'in-maintenance':
    case 'not-empty':
      if (operation.kind !== 'rolling') return;
      if (operation.state === 'aborting') return write(context, run, host, { step: 'cancelled' });
      if (operation.state === 'running' && (await workIsDone(context.db, operation, host))) return bringBack(context, run, operation, host);
      return;
    case 'restoring':
      if (settled) await write(context, run, host, { step: operation.state === 'aborting' ? 'cancelled' : 'restored' });
      return;
    case 'empty':
    case 'restored':
    case 'cancelled':
      return;
  }
}

/** The items of a host: those that leave it while it is drained, those that come home while it is restored. */
const belongs = (item: OperationItemRow, host: OperationHostRow): boolean =>
  host.step === 'restoring'
    ? item.direction === 'home' && item.planned_host_id === host.host_id
    : item.direction === 'away' && (item.source_host_id === host.host_id || item.makes_room);

async function mayBegin(db: Db, operation: Operation): Promise<boolean> {
  const hosts = await readHosts(db, operation.id);
  const busy = hosts.filter(({ step }) => underWay.has(step) || (operation.kind === 'rolling' && held.has(step)));
  return busy.length < operation.at_most;
}

async function write(
  { db }: WorkflowContext,
  run: WorkflowRun,
  host: OperationHostRow,
  values: Updateable<FleetHostTable>,
  also: (tx: Db) => Promise<void> = async () => {},
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await demandCharge(tx, run, host.operation_id);
    await tx
      .updateTable('fleet_host')
      .set(values)
      .where('operation_id', '=', host.operation_id)
      .where('host_id', '=', host.host_id)
      .execute();
    await also(tx);
    await tx.updateTable('fleet_operation').set({ updated_at: new Date() }).where('id', '=', host.operation_id).execute();
    await tellOperation(tx, host.operation_id);
  });
}

/** The host is disabled, so that nothing comes to it any more; what has come since the operation began is found when its items have ended. */
async function beginHost(context: WorkflowContext, run: WorkflowRun, operation: Operation, host: OperationHostRow): Promise<void> {
  const { boot_id, enabled } = await context.db
    .selectFrom('host')
    .select(['boot_id', 'enabled'])
    .where('id', '=', host.host_id)
    .executeTakeFirstOrThrow();
  await write(context, run, host, { step: 'draining', boot_id, was_enabled: enabled }, (tx) =>
    switchHost(tx, host.host_id, { enabled: false, reason: operation.reason }),
  );
}

/**
 * Servers that are on the host and have no item that will move them: those that came after the operation began, and those that were excluded and could be moved now. True when there are such, or when one has
 * a task whose end is waited for.
 */
async function takeUpTheRest(
  context: WorkflowContext,
  run: WorkflowRun,
  operation: Operation,
  host: OperationHostRow,
  items: readonly OperationItemRow[],
): Promise<boolean> {
  const { db } = context;
  const here = await db
    .selectFrom('server')
    .select(['id', 'task_state'])
    .where('host_id', '=', host.host_id)
    .where('deleted_at', 'is', null)
    .execute();
  // What failed is taken up again when the operator says so, not by itself.
  const tried = new Set(items.filter(({ state }) => state === 'failed').map(({ server_id }) => server_id));
  const left = here.filter(({ id }) => !tried.has(id));
  const arriving = await db
    .selectFrom('migration')
    .select('id')
    .where('finished_at', 'is', null)
    .where((eb) => eb.or([eb('destination_host_id', '=', host.host_id), eb('source_host_id', '=', host.host_id)]))
    .where('status', '<>', 'finished')
    .executeTakeFirst();
  if (left.length === 0 && arriving === undefined) return false;
  const waits =
    (arriving !== undefined || left.some(({ task_state }) => task_state !== null) || (await beingSettled(db, left))) &&
    Date.now() - operation.updated_at.getTime() < PATIENCE_MS;
  const idle = left.filter(({ task_state }) => task_state === null).map(({ id }) => id);
  if (idle.length === 0) return waits;
  const kind = planKindOf(operation);
  const blockMigration = operation.block_migration === 'auto' ? 'auto' : operation.block_migration === 'true';
  const loaded = await loadPlanned(db, idle, { kind, blockMigration, onlyHost: () => operation.destination });
  const links = await measureLinks(db, context.config.limits, operation.parallel);
  const plan = planDrain(await planningSnapshot(context, db, [host.name]), loaded.planned, {
    seed: run.fence,
    others: [],
    links: links.facts,
  });
  const found = itemsOf({ kind, plan, excluded: loaded.excluded, servers: loaded.servers, links });
  const known = new Map(items.map((item) => [item.server_id, item]));
  const fresh = found.filter(({ serverId }) => !known.has(serverId));
  const movableNow = found.filter(({ serverId, state }) => state === 'waiting' && known.get(serverId)?.state === 'excluded');
  const backAgain = found.filter(
    ({ serverId, state }) => state === 'waiting' && (known.get(serverId)?.state === 'done' || known.get(serverId)?.state === 'skipped'),
  );
  if (fresh.length === 0 && movableNow.length === 0 && backAgain.length === 0) return waits;
  await take(context, run, operation, { fresh: [...fresh, ...backAgain], again: movableNow }, known);
  return true;
}

/** Whether one of the servers is still being told of its host's fencing, or the like: its state may be another in a moment. */
async function beingSettled(db: Db, servers: readonly { readonly id: string }[]): Promise<boolean> {
  if (servers.length === 0) return false;
  const open = await db
    .selectFrom('workflow')
    .select('id')
    .where(
      'subject_id',
      'in',
      servers.map(({ id }) => id),
    )
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  return open !== undefined;
}

async function take(
  { db }: WorkflowContext,
  run: WorkflowRun,
  operation: Operation,
  found: { readonly fresh: readonly NewItem[]; readonly again: readonly NewItem[] },
  known: ReadonlyMap<string, OperationItemRow>,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    await demandCharge(tx, run, operation.id);
    for (const item of found.again)
      await tx
        .updateTable('fleet_item')
        .set({ state: 'waiting', cause: null, planned_host_id: item.plannedHostId, method: item.method, finished_at: null })
        .where('operation_id', '=', operation.id)
        .where('position', '=', known.get(item.serverId)?.position ?? -1)
        .execute();
    await appendItems(tx, operation.id, found.fresh);
    await tx.updateTable('fleet_operation').set({ updated_at: new Date() }).where('id', '=', operation.id).execute();
    await tellOperation(tx, operation.id);
  });
}

async function appendItems(tx: Parameters<typeof insertItems>[0], operationId: string, items: readonly NewItem[]): Promise<void> {
  const last = await tx
    .selectFrom('fleet_item')
    .select(({ fn }) => fn.max('position').as('position'))
    .where('operation_id', '=', operationId)
    .executeTakeFirst();
  await insertItems(tx, operationId, items, Number(last?.position ?? -1) + 1);
}

async function concludeDraining(context: WorkflowContext, run: WorkflowRun, operation: Operation, host: OperationHostRow): Promise<void> {
  const { empty, ...proof } = await proveEmpty(context, run, host.host_id, operation.kind !== 'evacuate');
  const silent = proof.guests === null && operation.kind !== 'evacuate';
  if (!empty && silent && Date.now() - operation.updated_at.getTime() < PATIENCE_MS) return;
  const step: HostStep = !empty
    ? 'not-empty'
    : operation.kind === 'maintenance' || operation.kind === 'rolling'
      ? 'in-maintenance'
      : 'empty';
  await write(context, run, host, { step, proof: JSON.stringify(proof) });
}

/** The operator has said so, or the host has booted again and answers. */
async function workIsDone(db: Db, operation: Operation, host: OperationHostRow): Promise<boolean> {
  if (host.done_at !== null) return true;
  if (operation.until !== 'reboot') return false;
  const now = await db.selectFrom('host').select(['boot_id', 'reachable']).where('id', '=', host.host_id).executeTakeFirst();
  return now?.reachable === true && now.boot_id !== null && now.boot_id !== host.boot_id;
}

/** The host takes servers again, and what left it comes home if that was asked for. */
async function bringBack(context: WorkflowContext, run: WorkflowRun, operation: Operation, host: OperationHostRow): Promise<void> {
  const named = { id: host.host_id as Parameters<typeof homecoming>[1]['id'], name: host.name };
  const blockMigration = operation.block_migration === 'auto' ? 'auto' : operation.block_migration === 'true';
  const ids = operation.bring_home ? await leftIn(context.db, operation.id, host.host_id) : [];
  const { items } = await homecoming(context, named, ids, { blockMigration, parallel: operation.parallel });
  await context.db.transaction().execute(async (tx) => {
    await demandCharge(tx, run, operation.id);
    await tx
      .updateTable('fleet_host')
      .set({ step: 'restoring' })
      .where('operation_id', '=', operation.id)
      .where('host_id', '=', host.host_id)
      .execute();
    await switchHost(tx, host.host_id, { enabled: host.was_enabled, ...(host.was_enabled ? {} : { reason: operation.reason }) });
    await appendItems(tx, operation.id, items);
    await tx.updateTable('fleet_operation').set({ updated_at: new Date() }).where('id', '=', operation.id).execute();
    await tellOperation(tx, operation.id);
  });
}
