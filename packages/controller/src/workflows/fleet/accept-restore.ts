import { randomUUID } from 'node:crypto';
import type { NewOperation } from '@godwit/contract/schemas/godwit/fleet-requests';
import { planDrain } from '@godwit/domain/drain-plan/plan-drain';
import { GodwitError } from '@godwit/domain/errors';
import type { HostId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { switchHost } from '../../hosts/switch-host.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import { insertHosts } from './accept-drain.ts';
import {
  blockColumn,
  byCaller,
  demandFree,
  type FleetContext,
  insertItems,
  itemsOf,
  type NewItem,
  oneAtATime,
} from './accept-operation.ts';
import { measureLinks } from './link-facts.ts';
import { loadPlanned } from './load-planned.ts';
import { type PlanContext, planningSnapshot } from './make-plan.ts';
import { tellOperation } from './operation-rows.ts';
import { hostsNamed, type NamedHost } from './select-servers.ts';

type Restore = Extract<NewOperation, { readonly kind: 'restore' }>;

/**
 * Accepts the end of a host's maintenance: the host is enabled, and what its last drain moved away, and is still where it went, is to come home. Throws, nothing changed, HostNotFound, BareMetalTarget,
 * SourceServiceDown while the host does not answer, and Conflict when the host or a server is in another operation.
 */
export async function acceptRestore(context: FleetContext, caller: Caller, request: Restore): Promise<string> {
  const { db } = context;
  const [host] = await hostsNamed(db, [request.host]);
  if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${request.host} could not be found.`);
  const state = await db
    .selectFrom('host')
    .select(['reachable', 'forced_down', 'fenced_at'])
    .where('id', '=', host.id)
    .executeTakeFirstOrThrow();
  if (!state.reachable || state.forced_down || state.fenced_at !== null)
    throw new GodwitError('SourceServiceDown', `Host ${host.name} does not answer: it is restored when it does.`);
  const blockMigration = request.blockMigration ?? 'auto';
  const { items, expectedMs } =
    request.bringHome === false
      ? { items: [], expectedMs: 0 }
      : await homecoming(context, host, await leftSince(db, host.id), { blockMigration, parallel: request.parallel ?? 1 });
  const id = randomUUID();
  await db.transaction().execute(async (tx) => {
    await oneAtATime(tx);
    await demandFree(tx, { servers: items.map(({ serverId }) => serverId), hosts: [host.name] });
    await tx
      .insertInto('fleet_operation')
      .values({
        id,
        kind: 'restore',
        state: 'running',
        ...blockColumn(blockMigration),
        parallel: request.parallel ?? 1,
        bring_home: request.bringHome ?? true,
        expected_ms: expectedMs,
        ...byCaller(caller),
      })
      .execute();
    await insertHosts(tx, id, [host], () => 'restoring');
    await insertItems(tx, id, items, 0);
    await switchHost(tx, host.id, { enabled: true });
    await tx
      .updateTable('fleet_host')
      .set({ step: 'restored' })
      .where('host_id', '=', host.id)
      .where('step', '=', 'in-maintenance')
      .execute();
    await context.workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    await tellOperation(tx, id);
  });
  return id;
}

/** The servers that were moved away from a host to empty it, since it was last brought home, and that are still where they were left. */
async function leftSince(db: Db, hostId: HostId): Promise<readonly string[]> {
  const last = await db
    .selectFrom('fleet_operation')
    .innerJoin('fleet_host', 'fleet_host.operation_id', 'fleet_operation.id')
    .select('fleet_operation.created_at')
    .where('fleet_host.host_id', '=', hostId)
    .where('kind', '=', 'restore')
    .where('bring_home', '=', true)
    .orderBy('fleet_operation.created_at', 'desc')
    .executeTakeFirst();
  let rows = db
    .selectFrom('fleet_item')
    .innerJoin('fleet_operation', 'fleet_operation.id', 'fleet_item.operation_id')
    .innerJoin('server', 'server.id', 'fleet_item.server_id')
    .select('server.id')
    .where('fleet_operation.kind', 'in', ['drain', 'maintenance', 'rolling'])
    .where(stillAway(hostId))
    .orderBy('fleet_item.started_at');
  if (last !== undefined) rows = rows.where('fleet_operation.created_at', '>', last.created_at);
  return [...new Set((await rows.execute()).map(({ id }) => id))];
}

/** The servers that one operation has moved away from a host, and that are still where it left them. */
export async function leftIn(db: Db, operationId: string, hostId: string): Promise<readonly string[]> {
  const rows = await db
    .selectFrom('fleet_item')
    .innerJoin('server', 'server.id', 'fleet_item.server_id')
    .select('server.id')
    .where('operation_id', '=', operationId)
    .where(stillAway(hostId))
    .orderBy('position')
    .execute();
  return rows.map(({ id }) => id);
}

/** What made room for others does not count as having left. */
const stillAway = (hostId: string) =>
  sql<boolean>`fleet_item.source_host_id = ${hostId} and fleet_item.direction = 'away' and not fleet_item.makes_room and fleet_item.state = 'done'
    and server.deleted_at is null and server.host_id = fleet_item.destination_host_id`;

/** Items that bring these servers to one host, in an order that works; the host is taken to be enabled already. */
export async function homecoming(
  context: PlanContext,
  host: NamedHost,
  ids: readonly string[],
  how: { readonly blockMigration: boolean | 'auto'; readonly parallel: number },
): Promise<{ readonly items: readonly NewItem[]; readonly expectedMs: number }> {
  const { db } = context;
  const loaded = await loadPlanned(db, ids, { kind: 'drain', blockMigration: how.blockMigration, onlyHost: () => host.name });
  const now = await planningSnapshot(context, db, []);
  const snapshot = { ...now, hosts: now.hosts.map((one) => (one.id === host.id ? { ...one, enabled: true } : one)) };
  const links = await measureLinks(db, context.config.limits, how.parallel);
  const plan = planDrain(snapshot, loaded.planned, { seed: 1, others: [], links: links.facts });
  const items = itemsOf({ kind: 'drain', plan, excluded: loaded.excluded, servers: loaded.servers, links }, true);
  return { items: items.map((item) => ({ ...item, direction: 'home' as const })), expectedMs: Math.round(plan.durationMs) };
}
