import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId } from '@godwit/domain/ids';
import type { MigrationPhase, TimelineEntry } from '@godwit/domain/migration';
import { recordEvent } from '../../events/record-event.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Workflows } from '../port.ts';

export type FinishedMove = { readonly id: MigrationId; readonly sourceHostId: string | null; readonly timeline: readonly TimelineEntry[] };

/** The move of a locked server that waits to be confirmed or reverted, locked too. Throws BadRequest: there is none, or somebody has answered already. */
export async function finishedMove(tx: Db, serverId: string): Promise<FinishedMove> {
  const row = await tx
    .selectFrom('migration')
    .select(['id', 'source_host_id', 'timeline'])
    .where('server_id', '=', serverId)
    .where('status', '=', 'finished')
    .where('finished_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('BadRequest', 'Instance has not been resized.');
  return { id: as<MigrationId>(row.id), sourceHostId: row.source_host_id, timeline: row.timeline };
}

/** Sets a finished move going again, towards its confirmation or its reversal. */
export async function answerMove(
  tx: Tx,
  workflows: Workflows,
  server: { readonly id: string; readonly project_id: string },
  move: FinishedMove,
  phase: Extract<MigrationPhase, 'confirming' | 'reverting'>,
  actionId: number | null,
): Promise<void> {
  const timeline: readonly TimelineEntry[] = [...move.timeline, { at: Date.now(), clock: 'controller', what: 'phase', detail: phase }];
  await tx
    .updateTable('migration')
    .set({ status: phase, phase, timeline: JSON.stringify(timeline), updated_at: new Date() })
    .where('id', '=', move.id)
    .execute();
  await workflows.enqueue(tx, { kind: 'cold-migrate', subjectId: move.id, input: { serverId: server.id, actionId } });
  await recordEvent(tx, {
    kind: 'migration',
    subjectId: move.id,
    projectId: server.project_id,
    data: { id: move.id, serverId: server.id, status: phase, phase },
  });
}
