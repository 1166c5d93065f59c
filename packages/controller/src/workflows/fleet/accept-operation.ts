import { randomUUID } from 'node:crypto';
import type { NewOperation, PlanRequest } from '@godwit/contract/schemas/godwit/fleet-requests';
import type { ItemState, MoveMethod } from '@godwit/domain/drain-plan/fleet-operation';
import { idOf } from '@godwit/domain/drain-plan/planned-server';
import { GodwitError } from '@godwit/domain/errors';
import type { HostId, ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { Tx } from '../../store/database.ts';
import type { ItemCause } from '../../store/fleet-tables.ts';
import type { Caller } from '../operations.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { loadPlanned } from './load-planned.ts';
import { type MadePlan, makePlan, type PlanContext } from './make-plan.ts';
import { tellOperation } from './operation-rows.ts';
import { hostsNamed } from './select-servers.ts';

export type FleetContext = PlanContext & Pick<WorkflowContext, 'workflows'>;

/** An item before it has a position. */
export type NewItem = {
  readonly serverId: ServerId;
  readonly method: MoveMethod;
  readonly direction?: 'away' | 'home';
  readonly sourceHostId: string | null;
  readonly plannedHostId: HostId | null;
  readonly pinned: boolean;
  readonly makesRoom: boolean;
  readonly state: Extract<ItemState, 'waiting' | 'excluded'>;
  readonly cause: ItemCause | null;
};

type Bulk = Extract<NewOperation, { readonly kind: 'bulk' }>;

/**
 * Accepts a bulk live migration: the operation, its items (those that cannot be moved too, with why) and its workflow in one transaction. Nothing has moved when it returns. Throws, nothing
 * changed, what `makePlan` throws, and Conflict when a server is in another operation that has not ended, or its host is being emptied by one.
 */
export async function acceptBulk(context: FleetContext, caller: Caller, request: Bulk): Promise<string> {
  const { items, expectedMs } = 'items' in request ? await givenItems(context, request) : await plannedItems(context, request);
  const id = randomUUID();
  await context.db.transaction().execute(async (tx) => {
    await oneAtATime(tx);
    await demandFree(tx, { servers: items.map(({ serverId }) => serverId), hosts: hostsSelected(request) });
    await tx
      .insertInto('fleet_operation')
      .values({
        id,
        kind: 'bulk',
        state: 'running',
        destination: request.destination ?? null,
        ...blockColumn(request.blockMigration),
        parallel: request.parallel ?? 1,
        move_others: request.moveOthers ?? false,
        expected_ms: expectedMs,
        ...byCaller(caller),
      })
      .execute();
    await insertItems(tx, id, items, 0);
    await context.workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    await tellOperation(tx, id);
  });
  return id;
}

const hostsSelected = (request: Bulk): readonly string[] =>
  !('select' in request) ? [] : 'host' in request.select ? [request.select.host] : 'hosts' in request.select ? request.select.hosts : [];

async function plannedItems(context: FleetContext, request: Extract<Bulk, { readonly select: unknown }>) {
  const { kind: _, ...plan } = request;
  const made = await makePlan(context, { ...(plan satisfies PlanRequest), kind: 'bulk' });
  return {
    items: itemsOf(made, request.destination !== undefined && request.destination !== null),
    expectedMs: Math.round(made.plan.durationMs),
  };
}

/** A plan's moves in their order, then what it leaves out. `fixed`: the operation has one destination, and an item does not go elsewhere. */
export function itemsOf(made: MadePlan, fixed = false): readonly NewItem[] {
  return [
    ...made.plan.moves.map(({ server, to, makesRoom }): NewItem => {
      return {
        serverId: idOf(server),
        method: server.method,
        sourceHostId: server.demand.currentHost.id,
        plannedHostId: to.id,
        pinned: (fixed || server.demand.requestedHost !== null) && !makesRoom,
        makesRoom,
        state: 'waiting',
        cause: null,
      };
    }),
    ...made.plan.unplaced.map(({ server, code, reason, remedy }): NewItem => {
      return {
        serverId: idOf(server),
        method: server.method,
        sourceHostId: server.demand.currentHost.id,
        plannedHostId: null,
        pinned: false,
        makesRoom: false,
        state: 'excluded',
        cause: { code, sentence: reason, remedy },
      };
    }),
    ...made.excluded.map(({ server, code, reason, remedy }): NewItem => {
      return {
        serverId: server.id,
        method: 'live',
        sourceHostId: server.host?.id ?? null,
        plannedHostId: null,
        pinned: false,
        makesRoom: false,
        state: 'excluded',
        cause: { code, sentence: reason, remedy },
      };
    }),
  ];
}

/** Items that the operator gives, in their order; what cannot be moved at all is excluded, and where the others may go is asked when their turn comes. */
async function givenItems(context: FleetContext, request: Extract<Bulk, { readonly items: unknown }>) {
  const { db } = context;
  const ids = request.items.map(({ server }) => server);
  if (new Set(ids).size !== ids.length) throw new GodwitError('BadRequest', 'A server is named twice among the items.');
  const one = request.destination ?? null;
  const names = request.items.map(({ destination }) => destination ?? one);
  const wanted = [...new Set(names.filter((name) => name !== null))];
  const hosts = new Map((wanted.length === 0 ? [] : await hostsNamed(db, wanted)).map(({ id, name }) => [name, id]));
  const loaded = await loadPlanned(db, ids, { kind: 'bulk', blockMigration: request.blockMigration ?? 'auto', onlyHost: () => null });
  const missing = ids.find((id) => !loaded.servers.has(id as ServerId));
  if (missing !== undefined) throw new GodwitError('ServerNotFound', `Instance ${missing} could not be found.`);
  const excluded = new Map(loaded.excluded.map((entry) => [entry.server.id, entry]));
  const items = request.items.map(({ server, pinned }, index): NewItem => {
    const serverId = server as ServerId;
    const name = names[index] ?? null;
    const why = excluded.get(serverId);
    if (pinned === true && name === null) throw new GodwitError('BadRequest', `Instance ${server} is pinned to no host.`);
    return {
      serverId,
      method: 'live',
      sourceHostId: loaded.servers.get(serverId)?.host?.id ?? null,
      plannedHostId: name === null ? null : (hosts.get(name) ?? null),
      pinned: pinned === true || (one !== null && name === one),
      makesRoom: false,
      state: why === undefined ? 'waiting' : 'excluded',
      cause: why === undefined ? null : { code: why.code, sentence: why.reason, remedy: why.remedy },
    };
  });
  return { items, expectedMs: null };
}

// Names this lock among the database's advisory locks.
const ACCEPT_LOCK = 0x60d512;
/** Operations are accepted one at a time, so that two cannot take the same host or server. Until the transaction ends. */
export async function oneAtATime(tx: Tx): Promise<void> {
  await sql`select pg_advisory_xact_lock(${ACCEPT_LOCK})`.execute(tx);
}

/** Throws Conflict when one of the hosts or servers belongs to an operation that has not ended. */
export async function demandFree(
  tx: Tx,
  wanted: { readonly servers: readonly string[]; readonly hosts: readonly string[] },
  except: string | null = null,
): Promise<void> {
  if (wanted.hosts.length > 0) {
    let query = tx
      .selectFrom('fleet_host')
      .innerJoin('fleet_operation', 'fleet_operation.id', 'fleet_host.operation_id')
      .innerJoin('host', 'host.id', 'fleet_host.host_id')
      .select(['fleet_operation.id', 'fleet_operation.kind', 'host.name'])
      .where('fleet_operation.finished_at', 'is', null)
      .where('host.name', 'in', [...wanted.hosts]);
    if (except !== null) query = query.where('fleet_operation.id', '<>', except);
    const taken = await query.executeTakeFirst();
    if (taken !== undefined)
      throw new GodwitError('Conflict', `Host ${taken.name} is in the ${taken.kind} operation ${taken.id}, which has not ended.`);
  }
  if (wanted.servers.length === 0) return;
  let query = tx
    .selectFrom('fleet_item')
    .innerJoin('fleet_operation', 'fleet_operation.id', 'fleet_item.operation_id')
    .select(['fleet_operation.id', 'fleet_operation.kind', 'fleet_item.server_id'])
    .where('fleet_operation.finished_at', 'is', null)
    .where('fleet_item.state', 'in', ['waiting', 'moving'])
    .where(sql<boolean>`fleet_item.server_id = any(${[...wanted.servers]}::uuid[])`);
  if (except !== null) query = query.where('fleet_operation.id', '<>', except);
  const taken = await query.executeTakeFirst();
  if (taken !== undefined)
    throw new GodwitError('Conflict', `Instance ${taken.server_id} is in the ${taken.kind} operation ${taken.id}, which has not ended.`);
}

export const byCaller = (caller: Caller) => ({ user_id: caller.userId, project_id: caller.projectId, request_id: caller.requestId });
export const blockColumn = (blockMigration: boolean | 'auto' | undefined) => ({
  block_migration:
    blockMigration === undefined || blockMigration === 'auto' ? ('auto' as const) : blockMigration ? ('true' as const) : ('false' as const),
});

/** Rows per insert: bounds the statement's parameters. */
const BATCH = 500;
export async function insertItems(tx: Tx, operationId: string, items: readonly NewItem[], from: number): Promise<void> {
  for (let at = 0; at < items.length; at += BATCH)
    await tx
      .insertInto('fleet_item')
      .values(
        items.slice(at, at + BATCH).map((item, index) => ({
          operation_id: operationId,
          position: from + at + index,
          server_id: item.serverId,
          direction: item.direction ?? 'away',
          method: item.method,
          source_host_id: item.sourceHostId,
          planned_host_id: item.plannedHostId,
          pinned: item.pinned,
          makes_room: item.makesRoom,
          state: item.state,
          cause: item.cause === null ? null : JSON.stringify(item.cause),
          finished_at: item.state === 'excluded' ? new Date() : null,
        })),
      )
      .execute();
}
