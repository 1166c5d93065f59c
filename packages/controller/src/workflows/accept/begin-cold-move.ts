import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId } from '@godwit/domain/ids';
import { recordEvent } from '../../events/record-event.ts';
import type { FlavorSnapshot } from '../../store/core-tables.ts';
import type { Tx } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import type { LockedServer } from './lock-server.ts';

export type ColdMove = {
  readonly type: 'migration' | 'resize';
  readonly requestedHost: string | null;
  /** The flavor that the server gets; null: it keeps its own. */
  readonly flavor: { readonly id: string; readonly snapshot: FlavorSnapshot } | null;
};

/**
 * The acceptance of a cold move of a locked, checked server: task_state, record, action and workflow, in the caller's transaction. Throws InvalidState when another move of the server has not
 * ended (it was reset out of it).
 */
export async function beginColdMove(
  tx: Tx,
  workflows: Workflows,
  caller: Caller,
  server: LockedServer,
  move: ColdMove,
): Promise<MigrationId> {
  const open = await tx
    .selectFrom('migration')
    .select('id')
    .where('server_id', '=', server.id)
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  if (open !== undefined) throw new GodwitError('InvalidState', `Instance ${server.id} has a migration that has not ended: ${open.id}.`);
  const id = as<MigrationId>(randomUUID());
  await tx
    .updateTable('server')
    .set({ task_state: 'resize_prep', progress: 0, updated_at: new Date() })
    .where('id', '=', server.id)
    .execute();
  const state = { status: 'pre-migrating', phase: 'accepted' } as const;
  await tx
    .insertInto('migration')
    .values({
      id,
      server_id: server.id,
      type: move.type,
      ...state,
      source_host_id: server.host_id,
      requested_host: move.requestedHost,
      previous_vm_state: server.vm_state,
      old_flavor_id: server.flavor_id,
      new_flavor_id: move.flavor?.id ?? server.flavor_id,
      old_flavor: JSON.stringify(server.flavor),
      new_flavor: JSON.stringify(move.flavor?.snapshot ?? server.flavor),
      timeline: JSON.stringify([{ at: Date.now(), clock: 'controller', what: 'phase', detail: 'accepted' }]),
      user_id: caller.userId,
      project_id: caller.projectId,
      request_id: caller.requestId,
    })
    .execute();
  const actionId = await recordAction(tx, server.id, move.type === 'resize' ? 'resize' : 'migrate', caller);
  await workflows.enqueue(tx, { kind: 'cold-migrate', subjectId: id, input: { serverId: server.id, actionId } });
  await tellServer(tx, server.id);
  await recordEvent(tx, { kind: 'migration', subjectId: id, projectId: server.project_id, data: { id, serverId: server.id, ...state } });
  return id;
}

/** The host's service answers and is not forced down. Throws SourceServiceDown, without a host name: owners may see the message. */
export async function demandServiceUp(tx: Tx, hostId: string | null, message: string): Promise<void> {
  const host =
    hostId === null
      ? undefined
      : await tx.selectFrom('host').select(['reachable', 'forced_down']).where('id', '=', hostId).executeTakeFirst();
  if (host === undefined || !host.reachable || host.forced_down) throw new GodwitError('SourceServiceDown', message);
}
