import type { MigrationCause } from '@godwit/domain/migration';
import type { Prediction } from '@godwit/domain/prediction/predict';
import { type PredictionScore, scorePrediction } from '@godwit/domain/prediction/score';

const predictedPhases = ['preparing', 'copying', 'switchover', 'committing'] as const;
const notConverged: readonly (MigrationCause | null)[] = ['WillNotConverge', 'DeadlineExceeded'];

/** What became of a move's prediction, when it ends; null: there was none, or its end says nothing about it. */
export function scoreEnd(
  row: { readonly prediction: object | null; readonly force_requested_at: Date | null; readonly policy_version: number },
  end: {
    readonly status: string;
    readonly cause: MigrationCause | null;
    readonly phaseDurationsMs: Readonly<Record<string, number>>;
    readonly blackoutMs: number | null;
  },
): PredictionScore | null {
  if (row.prediction === null) return null;
  return scorePrediction(row.prediction as Prediction, {
    completed: end.status === 'completed',
    didNotConverge: notConverged.includes(end.cause),
    durationMs: predictedPhases.reduce((sum, phase) => sum + (end.phaseDurationsMs[phase] ?? 0), 0),
    blackoutMs: end.blackoutMs,
    interfered: row.force_requested_at !== null || row.policy_version > 0,
  });
}
