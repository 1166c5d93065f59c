import type { PredictionScore } from '@godwit/domain/prediction/score';
import type { Metrics } from '../metrics.ts';
import type { Db } from '../store/database.ts';

/** A migration's end as a run has written it, in a transaction that may still be rolled back. `at` tells this attempt from any other at the same end. */
export type WrittenEnd = {
  readonly migrationId: string;
  readonly at: Date;
  readonly type: string;
  readonly status: string;
  readonly cause: string | null;
  readonly phaseDurationsMs: Readonly<Record<string, number>>;
  readonly blackoutMs: number | null;
};

/**
 * Counts the ends that the database has. Called when a run is over, not inside its transactions: one that is rolled back is run again, and would be counted again.
 */
export async function countEnds(db: Db, metrics: Metrics, ends: readonly WrittenEnd[]): Promise<void> {
  for (const end of ends) {
    const row = await db
      .selectFrom('migration')
      .select(['created_at', 'finished_at', 'memory_processed_bytes', 'disk_processed_bytes', 'prediction_score'])
      .where('id', '=', end.migrationId)
      .executeTakeFirst();
    if (row?.finished_at?.getTime() !== end.at.getTime()) continue;
    metrics.migrationsTotal.inc({ type: end.type, outcome: end.status, cause: end.cause ?? '' });
    metrics.migrationSeconds.observe({ type: end.type, outcome: end.status }, (end.at.getTime() - row.created_at.getTime()) / 1_000);
    metrics.migrationBytesTotal.inc({ kind: 'memory' }, row.memory_processed_bytes ?? 0);
    metrics.migrationBytesTotal.inc({ kind: 'disk' }, row.disk_processed_bytes ?? 0);
    const score = row.prediction_score as PredictionScore | null;
    for (const [figure, inside] of [
      ['duration', score?.durationInside],
      ['blackout', score?.blackoutInside],
    ] as const)
      if (typeof inside === 'boolean') metrics.predictionsTotal.inc({ figure, result: inside ? 'inside' : 'outside' });
    if (end.cause !== null) continue;
    if (end.blackoutMs !== null) metrics.migrationBlackoutSeconds.observe(end.blackoutMs / 1000);
    for (const [phase, ms] of Object.entries(end.phaseDurationsMs)) metrics.migrationDurationSeconds.observe({ phase }, ms / 1000);
  }
}
