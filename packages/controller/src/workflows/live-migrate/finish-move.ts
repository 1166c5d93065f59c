import type { HostId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import type { WorkflowRun } from '../port.ts';
import { type ActionRef, finishEvent } from '../record/actions.ts';
import { serverFault } from '../server/fault.ts';
import { writeServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { endMigration, type MigrationEnd } from './end-migration.ts';
import type { Move } from './move.ts';

export const MOVE_EVENT = 'compute_live_migration';

/** How a move ends, for the record and for the server. */
export type MoveEnd = MigrationEnd & {
  readonly server: { readonly hostId: HostId; readonly vmState: VmState };
  /** The event that ends with it; without one, the live migration's. Null: none does. */
  readonly event?: { readonly action: ActionRef; readonly name: string } | null;
};

/**
 * The one transaction in which the migration becomes terminal, the server's task ends, its host is final and the loser's allocation is gone. The caller opens it;
 * throws Fenced (nothing written) when another executor is in charge.
 */
export async function finishMove(
  tx: Db,
  context: Pick<WorkflowContext, 'wroteEnd' | 'workflows'>,
  run: Pick<WorkflowRun, 'fence'>,
  move: Move,
  end: MoveEnd,
): Promise<void> {
  const { hostId, vmState } = end.server;
  const power =
    vmState === 'paused'
      ? powerState.paused
      : vmState === 'stopped'
        ? powerState.shutdown
        : vmState === 'error'
          ? powerState.crashed
          : powerState.running;
  await writeServer(tx, run, move.serverId, {
    vm_state: vmState,
    power_state: power,
    task_state: null,
    progress: 0,
    host_id: hostId,
    ...(vmState === 'error' ? { fault: serverFault(end.outcome.sentence, end.outcome.evidence.join('; ')) } : {}),
  });
  // One row stays: the server's, on the host that it is on.
  await sql`${later}delete from allocation where server_id = ${move.serverId} and host_id <> ${hostId}`.execute(tx);
  await sql`${later}update allocation set consumer_id = ${move.serverId}, consumer_type = 'server'
    where server_id = ${move.serverId} and consumer_id = ${move.moveId}`.execute(tx);
  await sql`${later}update port set host_id = ${hostId}, updated_at = now() where server_id = ${move.serverId}`.execute(tx);
  const event = end.event === undefined ? { action: { serverId: move.serverId, requestId: move.request_id }, name: MOVE_EVENT } : end.event;
  if (event !== null) {
    const details =
      end.outcome.evidence.length === 0 ? end.outcome.sentence : `${end.outcome.sentence} (${end.outcome.evidence.join('; ')})`;
    await finishEvent(tx, event.action, event.name, end.outcome.cause === null ? { ok: true } : { ok: false, details });
  }
  await endMigration(tx, context, move.moveId, end);
}
