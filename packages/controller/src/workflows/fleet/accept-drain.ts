import { randomUUID } from 'node:crypto';
import type { NewOperation } from '@godwit/contract/schemas/godwit/fleet-requests';
import { GodwitError } from '@godwit/domain/errors';
import { switchHost } from '../../hosts/switch-host.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
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
import { makePlan } from './make-plan.ts';
import { tellOperation } from './operation-rows.ts';
import { hostsNamed, type NamedHost } from './select-servers.ts';

type Drain = Extract<NewOperation, { readonly kind: 'drain' | 'maintenance' | 'rolling' }>;

/**
 * Accepts the draining of hosts: the first of them are disabled, and every server on every one of them has its item, with its proposed destination or with why it cannot be moved. Nothing has moved
 * when it returns. Throws, nothing changed, HostNotFound, BareMetalTarget, SourceServiceDown for a host that does not answer, and Conflict when a host or server is in another operation.
 */
export async function acceptDrain(context: FleetContext, caller: Caller, request: Drain): Promise<string> {
  const { db } = context;
  const hosts = await hostsNamed(db, request.hosts);
  await demandAnswering(db, request.hosts);
  const atMost = Math.min(request.atMost ?? 1, hosts.length);
  const items: NewItem[] = [];
  let expectedMs = 0;
  // Hosts that are emptied at the same time take nothing from each other; those that come later still, or again, do.
  for (let at = 0; at < hosts.length; at += atMost) {
    const made = await makePlan(context, {
      kind: 'drain',
      select: { hosts: hosts.slice(at, at + atMost).map(({ name }) => name) },
      ...(request.blockMigration === undefined ? {} : { blockMigration: request.blockMigration }),
      parallel: request.parallel ?? 1,
      moveOthers: request.moveOthers ?? false,
    });
    items.push(...itemsOf(made));
    expectedMs += made.plan.durationMs;
  }
  const id = randomUUID();
  await db.transaction().execute(async (tx) => {
    await oneAtATime(tx);
    await demandFree(tx, { servers: items.map(({ serverId }) => serverId), hosts: request.hosts });
    await tx
      .insertInto('fleet_operation')
      .values({
        id,
        kind: request.kind,
        state: 'running',
        reason: request.reason,
        ...blockColumn(request.blockMigration),
        parallel: request.parallel ?? 1,
        at_most: atMost,
        move_others: request.moveOthers ?? false,
        ...(request.kind === 'rolling' ? { until: request.until ?? 'operator', bring_home: request.bringHome ?? true } : {}),
        expected_ms: Math.round(expectedMs),
        ...byCaller(caller),
      })
      .execute();
    await insertHosts(tx, id, hosts, (index) => (index < atMost ? 'draining' : 'waiting'));
    await insertItems(tx, id, items, 0);
    for (const host of hosts.slice(0, atMost)) await switchHost(tx, host.id, { enabled: false, reason: request.reason });
    await context.workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    await tellOperation(tx, id);
  });
  return id;
}

/** Rows for the hosts of an operation, as they are now: what they are given back is what they were. */
export async function insertHosts(
  tx: Db,
  operationId: string,
  hosts: readonly NamedHost[],
  stepOf: (index: number) => 'draining' | 'waiting' | 'restoring',
): Promise<void> {
  for (const [position, host] of hosts.entries()) {
    const { boot_id, enabled } = await tx
      .selectFrom('host')
      .select(['boot_id', 'enabled'])
      .where('id', '=', host.id)
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('fleet_host')
      .values({ operation_id: operationId, host_id: host.id, position, step: stepOf(position), boot_id, was_enabled: enabled })
      .execute();
  }
}

/** Throws SourceServiceDown: guests are moved from hosts that answer. */
async function demandAnswering(db: Db, names: readonly string[]): Promise<void> {
  const silent = await db
    .selectFrom('host')
    .select('name')
    .where('name', 'in', [...names])
    .where('deleted_at', 'is', null)
    .where((eb) => eb.or([eb('reachable', '=', false), eb('forced_down', '=', true)]))
    .executeTakeFirst();
  if (silent !== undefined)
    throw new GodwitError(
      'SourceServiceDown',
      `Host ${silent.name} is down: nothing can be moved from it. Wait for it, or evacuate it once it is fenced.`,
    );
}
