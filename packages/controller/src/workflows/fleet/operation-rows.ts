import type { OperationAnswer, OperationItem, OperationSummary } from '@godwit/contract/schemas/godwit/fleet-answers';
import { allowedCommands, countItems, type ItemCounts, type OperationState } from '@godwit/domain/drain-plan/fleet-operation';
import { GodwitError } from '@godwit/domain/errors';
import { serverStatus } from '@godwit/domain/server-states';
import type { Selectable } from 'kysely';
import { recordEvent } from '../../events/record-event.ts';
import type { Db } from '../../store/database.ts';
import type { FleetHostTable, FleetItemTable, FleetOperationTable } from '../../store/fleet-tables.ts';
import type { PlanKind } from './load-planned.ts';

export type Operation = Selectable<FleetOperationTable>;
export type OperationItemRow = Selectable<FleetItemTable>;
export type OperationHostRow = Selectable<FleetHostTable> & { readonly name: string };

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** By whose rules the servers of an operation leave. */
export const planKindOf = ({ kind }: Pick<Operation, 'kind'>): PlanKind =>
  kind === 'bulk' ? 'bulk' : kind === 'evacuate' ? 'evacuate' : 'drain';

/** The operation's row, locked on request. Throws NotFound. */
export async function readOperation(db: Db, id: string, lock = false): Promise<Operation> {
  let query = db.selectFrom('fleet_operation').selectAll().where('id', '=', id);
  if (lock) query = query.forUpdate();
  const row = uuid.test(id) ? await query.executeTakeFirst() : undefined;
  if (row === undefined) throw new GodwitError('NotFound', `Operation ${id.slice(0, 60)} could not be found.`);
  return row;
}

export async function readItems(db: Db, operationId: string): Promise<readonly OperationItemRow[]> {
  return db.selectFrom('fleet_item').selectAll().where('operation_id', '=', operationId).orderBy('position').execute();
}

export const readHosts = (db: Db, operationId: string): Promise<readonly OperationHostRow[]> => hostsOf(db, [operationId]);

async function hostsOf(db: Db, operationIds: readonly string[]): Promise<readonly OperationHostRow[]> {
  return db
    .selectFrom('fleet_host')
    .innerJoin('host', 'host.id', 'fleet_host.host_id')
    .selectAll('fleet_host')
    .select('host.name')
    .where('operation_id', 'in', [...operationIds])
    .orderBy('position')
    .execute();
}

/** The newest operations first; `open`: those that have not ended. */
export async function listOperations(
  db: Db,
  filters: {
    readonly kind?: string | undefined;
    readonly state?: string | undefined;
    readonly host?: string | undefined;
    readonly limit: number;
  },
): Promise<readonly OperationSummary[]> {
  let rows = db.selectFrom('fleet_operation').selectAll().orderBy('created_at', 'desc').orderBy('id').limit(filters.limit);
  if (filters.kind !== undefined) rows = rows.where('kind', '=', filters.kind as Operation['kind']);
  if (filters.state === 'open') rows = rows.where('finished_at', 'is', null);
  else if (filters.state !== undefined) rows = rows.where('state', '=', filters.state as OperationState);
  const { host } = filters;
  if (host !== undefined)
    rows = rows.where((eb) =>
      eb.exists(
        eb
          .selectFrom('fleet_host')
          .innerJoin('host', 'host.id', 'fleet_host.host_id')
          .select('host.id')
          .whereRef('fleet_host.operation_id', '=', 'fleet_operation.id')
          .where('host.name', '=', host),
      ),
    );
  return summariesOf(db, await rows.execute());
}

export async function operationView(db: Db, id: string): Promise<OperationAnswer['operation']> {
  const operation = await readOperation(db, id);
  return { ...(await summaryOf(db, operation)), items: [...(await itemViews(db, id))] };
}

async function summaryOf(db: Db, operation: Operation): Promise<OperationSummary> {
  const [summary] = await summariesOf(db, [operation]);
  if (summary === undefined) throw new Error(`operation ${operation.id} has no summary`);
  return summary;
}

/** Two queries, however many operations. */
async function summariesOf(db: Db, operations: readonly Operation[]): Promise<readonly OperationSummary[]> {
  if (operations.length === 0) return [];
  const ids = operations.map(({ id }) => id);
  const allHosts = Map.groupBy(await hostsOf(db, ids), ({ operation_id }) => operation_id);
  const rows = await db
    .selectFrom('fleet_item')
    .select(({ fn }) => ['operation_id', 'state', fn.countAll<number>().as('count')])
    .where('operation_id', 'in', ids)
    .groupBy(['operation_id', 'state'])
    .execute();
  const counted = Map.groupBy(rows, ({ operation_id }) => operation_id);
  return operations.map((operation) => {
    const hosts = allHosts.get(operation.id) ?? [];
    const counts = {
      ...countItems([]),
      ...Object.fromEntries((counted.get(operation.id) ?? []).map(({ state, count }) => [state, Number(count)])),
    };
    return summary(operation, hosts, counts);
  });
}

function summary(operation: Operation, hosts: readonly OperationHostRow[], counts: ItemCounts): OperationSummary {
  return {
    id: operation.id,
    kind: operation.kind,
    state: operation.state,
    reason: operation.reason,
    parallel: operation.parallel,
    atMost: operation.at_most,
    destination: operation.destination,
    blockMigration: operation.block_migration === 'auto' ? 'auto' : operation.block_migration === 'true',
    hosts: hosts.map(({ host_id, name, step, proof }) => ({
      host: { id: host_id, name },
      step,
      proof: proof === null ? null : { ...proof },
    })),
    counts: { ...counts },
    commands: [...allowedCommands(operation.state, counts)],
    expectedMs: operation.expected_ms,
    sentence: sentenceOf(operation, hosts, counts),
    userId: operation.user_id,
    requestId: operation.request_id,
    createdAt: operation.created_at.toISOString(),
    updatedAt: operation.updated_at.toISOString(),
    finishedAt: operation.finished_at?.toISOString() ?? null,
  };
}

/** What came of the operation, or what it waits for. */
function sentenceOf({ kind, state }: Operation, hosts: readonly OperationHostRow[], counts: ItemCounts): string {
  const servers = (count: number): string => (count === 1 ? '1 server' : `${count} servers`);
  const notMoved = counts.failed + counts.excluded;
  const what = kind === 'evacuate' ? 'restarted elsewhere' : 'moved';
  const moved = `${servers(counts.done)} ${what}`;
  const rest = [
    ...(counts.failed === 0 ? [] : [`${counts.failed} failed`]),
    ...(counts.excluded === 0 ? [] : [`${counts.excluded} cannot be moved`]),
    ...(counts.cancelled === 0 ? [] : [`${counts.cancelled} not begun`]),
    ...(counts.skipped === 0 ? [] : [`${counts.skipped} had nothing to do`]),
  ];
  const told = [moved, ...rest].join(', ');
  const left = hosts.filter(({ step }) => step === 'not-empty').map(({ name }) => name);
  const held = hosts.filter(({ step }) => step === 'in-maintenance').map(({ name }) => name);
  switch (state) {
    case 'running':
      if (held.length > 0 && counts.moving === 0 && counts.waiting === 0) return `${held.join(', ')}: in maintenance; ${told}.`;
      return `${servers(counts.moving)} moving, ${counts.waiting} waiting; ${told}.`;
    case 'paused':
      return counts.moving > 0
        ? `Paused: ${servers(counts.moving)} still moving, nothing new begins; ${told}.`
        : `Paused, ${counts.waiting} waiting; ${told}.`;
    case 'aborting':
      return `Being aborted: ${servers(counts.moving)} still moving; ${told}.`;
    case 'aborted':
      return `Aborted: ${told}.`;
    case 'completed':
      return `Completed: ${told}${hosts.length > 0 && kind !== 'restore' && kind !== 'evacuate' ? `; ${hosts.map(({ name, step }) => `${name} ${step === 'restored' ? 'is back' : 'is empty'}`).join(', ')}` : ''}.`;
    case 'incomplete':
      return `Ended${notMoved > 0 ? '' : ' without every host empty'}: ${told}${left.length > 0 ? `; not empty: ${left.join(', ')}` : ''}.`;
  }
}

async function itemViews(db: Db, operationId: string, position: number | null = null): Promise<readonly OperationItem[]> {
  let query = db
    .selectFrom('fleet_item')
    .innerJoin('server', 'server.id', 'fleet_item.server_id')
    .leftJoin('host as source', 'source.id', 'fleet_item.source_host_id')
    .leftJoin('host as planned', 'planned.id', 'fleet_item.planned_host_id')
    .leftJoin('host as destination', 'destination.id', 'fleet_item.destination_host_id')
    .selectAll('fleet_item')
    .select(['server.name', 'server.project_id', 'server.vm_state', 'server.task_state'])
    .select(['source.name as source_name', 'planned.name as planned_name', 'destination.name as destination_name'])
    .where('operation_id', '=', operationId)
    .orderBy('position');
  if (position !== null) query = query.where('position', '=', position);
  const host = (id: string | null, name: string | null) => (id === null || name === null ? null : { id, name });
  return (await query.execute()).map((row) => ({
    position: row.position,
    server: { id: row.server_id, name: row.name, projectId: row.project_id, status: serverStatus(row.vm_state, row.task_state) },
    direction: row.direction,
    source: host(row.source_host_id, row.source_name),
    planned: host(row.planned_host_id, row.planned_name),
    destination: host(row.destination_host_id, row.destination_name),
    method: row.method,
    pinned: row.pinned,
    makesRoom: row.makes_room,
    state: row.state,
    attempt: row.attempt,
    migrationId: row.migration_id,
    note: row.note,
    cause: row.cause === null ? null : { ...row.cause },
    startedAt: row.started_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
  }));
}

/** Tells readers of the event stream, in the transaction that changed it, how the operation stands, and the item that changed. */
export async function tellOperation(tx: Db, operationId: string, position: number | null = null): Promise<void> {
  const operation = await summaryOf(tx, await readOperation(tx, operationId));
  const item = position === null ? null : ((await itemViews(tx, operationId, position))[0] ?? null);
  await recordEvent(tx, { kind: 'operation', subjectId: operationId, projectId: null, data: { admin: { operation, item } } });
}
