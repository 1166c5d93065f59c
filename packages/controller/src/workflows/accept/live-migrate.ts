import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { ramOf } from '@godwit/domain/scheduling/flavor-requirements';
import { sql } from 'kysely';
import { recordEvent } from '../../events/record-event.ts';
import { type Db, inTransaction, type Tx } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import { storageRefusal } from '../live-migrate/storage-refusal.ts';
import type { Caller, LiveMigrateRequest } from '../operations.ts';
import { policyOfMove } from '../policy/policy-of-move.ts';
import type { Workflows } from '../port.ts';
import { noteAction } from '../record/actions.ts';
import { tellServerAs, told, toldHost } from '../record/server-event.ts';
import { type PlaceOptions, place } from '../scheduling/claim.ts';
import { type LockedServer, lockForAction } from './lock-server.ts';

/**
 * Accepts a live migration: task_state, migration record, action record and workflow in one transaction. Throws what the API answers, nothing changed:
 * the refusals of the action table, HostNotFound, BareMetalTarget, the storage refusals, and below 2.34 (`checksBeforeAnswer`) also SameHost, NoValidHost
 * and SourceServiceDown.
 */
export async function acceptLiveMigrate(
  db: Db,
  workflows: Workflows,
  ratios: PlaceOptions['ratios'],
  caller: Caller,
  serverId: ServerId,
  request: LiveMigrateRequest,
): Promise<MigrationId> {
  const id = as<MigrationId>(randomUUID());
  await inTransaction(db, async (tx) => {
    const server = await lockForAction(tx, 'live-migrate', serverId, caller);
    if (request.host !== null) await demandTarget(tx, request.host);
    if (request.checksBeforeAnswer) {
      await demandStorage(tx, serverId, request.blockMigration);
      await checkNow(tx, server, ratios, request);
    }
    const now = new Date();
    const accepted = await tx
      .updateTable('server')
      .set({ task_state: 'migrating', progress: 0, updated_at: now })
      .where('id', '=', serverId)
      .returning(told)
      .returning(toldHost)
      .executeTakeFirstOrThrow();
    const policy = await policyOfMove(tx, server, request.policy ?? {});
    await sql`${later}${tx.insertInto('migration').values({
      id,
      server_id: serverId,
      type: 'live-migration',
      status: 'accepted',
      phase: 'accepted',
      source_host_id: server.host_id,
      requested_host: request.host,
      disk_over_commit: request.diskOverCommit ?? false,
      block_migration: request.blockMigration === 'auto' ? 'auto' : request.blockMigration ? 'true' : 'false',
      policy: JSON.stringify(policy),
      max_bandwidth_bytes: request.maxBandwidthBytes ?? null,
      previous_vm_state: server.vm_state,
      memory_total_bytes: ramOf(server.flavor) * 2 ** 20,
      timeline: JSON.stringify([{ at: now.getTime(), clock: 'controller', what: 'phase', detail: 'accepted' }]),
      user_id: caller.userId,
      project_id: caller.projectId,
      request_id: caller.requestId,
    })}`.execute(tx);
    await noteAction(tx, serverId, 'live-migration', caller);
    await workflows.enqueue(tx, { kind: 'live-migrate', subjectId: id, input: { serverId } });
    await tellServerAs(tx, accepted);
    await recordEvent(tx, {
      kind: 'migration',
      subjectId: id,
      projectId: server.project_id,
      data: { id, serverId, status: 'accepted', phase: 'accepted' },
    });
  });
  return id;
}

/** A host that a request may name. Throws HostNotFound, BareMetalTarget. */
export async function demandTarget(tx: Tx, name: string): Promise<void> {
  const host = await tx
    .selectFrom('host')
    .select(['id', 'hypervisor_type'])
    .where('name', '=', name)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${name} could not be found.`);
  if (host.hypervisor_type === 'ironic')
    throw new GodwitError('BareMetalTarget', `Compute host ${name} is a bare metal host; nothing can be migrated to it.`);
}

/** Throws what `storageRefusal` says. */
export async function demandStorage(tx: Db, serverId: ServerId, blockMigration: boolean | 'auto'): Promise<void> {
  const refusal = await storageRefusal(tx, serverId, blockMigration);
  if (refusal !== null) throw new GodwitError(refusal.code, refusal.message);
}

async function checkNow(tx: Tx, server: LockedServer, ratios: PlaceOptions['ratios'], request: LiveMigrateRequest): Promise<void> {
  if (request.host !== null && request.host === server.hostName)
    throw new GodwitError('SameHost', `Unable to migrate instance (${server.id}) to current host (${server.hostName}).`);
  const source =
    server.host_id === null
      ? undefined
      : await tx.selectFrom('host').select(['reachable', 'name']).where('id', '=', server.host_id).executeTakeFirst();
  if (source === undefined || !source.reachable)
    throw new GodwitError('MigrationPreCheck', `Compute service of ${source?.name ?? 'the source'} is unavailable at this time.`);
  const placement = await place(tx, as<ServerId>(server.id), {
    kind: 'live-migration',
    requestedHost: request.host,
    copiesLocalDisks: request.blockMigration !== false,
    diskOverCommit: request.diskOverCommit ?? false,
    excludedHosts: [],
    ratios,
    seed: 0,
  });
  if (placement.kind === 'no-valid-host')
    throw new GodwitError('NoValidHost', 'No valid host was found. There are not enough hosts available.', { details: placement.details });
}
