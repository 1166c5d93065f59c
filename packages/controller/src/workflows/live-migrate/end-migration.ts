import type { MigrationOutcome } from '@godwit/domain/migration';
import { type Selectable, sql, type Updateable } from 'kysely';
import { recordEvent } from '../../events/record-event.ts';
import type { MigrationTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import { scoreEnd } from '../prediction/score-end.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { wakeWaiting } from './queue.ts';
import { durations, withPhase } from './timeline.ts';

export type MigrationEnd = {
  readonly phase: 'completed' | 'failed' | 'cancelled' | 'error' | 'confirmed' | 'reverted';
  /** `done`: an evacuation. */
  readonly status: 'completed' | 'failed' | 'cancelled' | 'error' | 'confirmed' | 'reverted' | 'done';
  readonly outcome: MigrationOutcome;
  readonly more?: Updateable<MigrationTable>;
  /** The record as the caller's transaction has locked it; without it, it is read. */
  readonly locked?: Selectable<MigrationTable>;
  /** Measured; for the metrics, the record has it among its measures. */
  readonly blackoutMs?: number | null;
};

/**
 * Makes a migration terminal, once, inside the transaction that also frees the loser's allocation and ends the server's task. Wakes the moves that wait for their turn.
 * The caller holds the server's row under its fence.
 */
export async function endMigration(
  tx: Db,
  context: Pick<WorkflowContext, 'wroteEnd' | 'workflows'>,
  migrationId: string,
  end: MigrationEnd,
): Promise<void> {
  const row =
    end.locked ?? (await tx.selectFrom('migration').selectAll().where('id', '=', migrationId).forUpdate().executeTakeFirstOrThrow());
  if (row.finished_at !== null) return;
  const now = new Date();
  const timeline = withPhase(
    (end.more?.timeline === undefined ? row.timeline : JSON.parse(end.more.timeline as string)) as typeof row.timeline,
    end.phase,
    now.getTime(),
  );
  const phaseDurations = durations(timeline);
  const score = scoreEnd(row, {
    status: end.status,
    cause: end.outcome.cause,
    phaseDurationsMs: phaseDurations,
    blackoutMs: end.blackoutMs ?? null,
  });
  const ended = tx
    .updateTable('migration')
    .set({
      ...end.more,
      phase: end.phase,
      status: end.status,
      outcome: JSON.stringify(end.outcome),
      timeline: JSON.stringify(timeline),
      phase_durations_ms: JSON.stringify(phaseDurations),
      prediction_score: score === null ? null : JSON.stringify(score),
      finished_at: now,
      updated_at: now,
    })
    .where('id', '=', migrationId);
  await sql`${later}${ended}`.execute(tx);
  await recordEvent(tx, {
    kind: 'migration',
    subjectId: migrationId,
    projectId: { ofServer: row.server_id },
    data: {
      id: migrationId,
      serverId: row.server_id,
      status: end.status,
      phase: end.phase,
      cause: end.outcome.cause,
      admin: { sentence: end.outcome.sentence, runsOn: end.outcome.runsOn },
    },
  });
  // Those hosts were heard of before it was known: nobody else would come back to them.
  if (row.disks_left_at.length > 0) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: row.server_id });
  // A fleet operation goes on with its next.
  await wakeWaiting(tx, context.workflows, migrationId);
  context.wroteEnd({
    migrationId,
    at: now,
    type: row.type,
    status: end.status,
    cause: end.outcome.cause,
    phaseDurationsMs: phaseDurations,
    blackoutMs: end.blackoutMs ?? null,
  });
}
