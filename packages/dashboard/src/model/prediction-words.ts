import type { Prediction } from '../api/prediction.ts';
import { formatDuration } from './formats.ts';

type Range = { readonly lower: number; readonly upper: number };

const range = ({ lower, upper }: Range): string =>
  formatDuration(Math.round(lower)) === formatDuration(Math.round(upper))
    ? formatDuration(Math.round(lower))
    : `${formatDuration(Math.round(lower))} to ${formatDuration(Math.round(upper))}`;

/** A prediction in one sentence: ranges, never one number; or why there is none. */
export function predictionWords({
  verdict,
  why,
  durationMs,
  blackoutMs,
}: Pick<Prediction, 'verdict' | 'why'> & { readonly durationMs: Range | null; readonly blackoutMs: Range | null }): string {
  switch (verdict) {
    case 'unknown':
      return `Nothing can be predicted: ${why}`;
    case 'will-not-converge':
      return `It will not converge: ${why}`;
    case 'converges': {
      const parts = [
        ...(durationMs === null ? [] : [`takes ${range(durationMs)}`]),
        ...(blackoutMs === null ? [] : [`the guest stands still for ${range(blackoutMs)}`]),
      ];
      return `Expected: ${parts.join('; ')} (nine of ten moves).`;
    }
  }
}
