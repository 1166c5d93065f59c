import { withLab } from './bench-lab.ts';
import { type MeasuredMove, withMeasuredGuest } from './measured-move.ts';
import { printRate } from './print-rate.ts';
import { resultsOf } from './results.ts';
import { shuffled } from './shuffled.ts';

export type BlackoutWindow = {
  readonly moves: readonly MeasuredMove[];
  /** Why nothing of it counts: a move failed, or something was lost. */
  readonly void?: string;
};

const ratesMBs: readonly number[] = [0, 50, 200];
/** A change of rate costs more than a move. */
const movesInARow = 5;
/** Left for taking everything down. */
const reserveMs = 15_000;

/**
 * Moves one guest back and forth for `seconds` (0: not at all), the rates with the fewest moves so far more often, and prints all that such windows have measured. Blackouts are told apart by their
 * tails, and tails need hundreds. A window in which a move failed or something was lost counts for nothing; the exit code says so.
 */
export async function benchBlackout(seconds: number): Promise<BlackoutWindow | null> {
  const endAtMs = performance.now() + seconds * 1000 - reserveMs;
  const before = resultsOf('blackout').flatMap(({ raw }) =>
    (raw as BlackoutWindow).void === undefined ? (raw as BlackoutWindow).moves : [],
  );
  const moves: MeasuredMove[] = [];
  let broken: string | undefined;
  const measured = (rate: number): number => [...before, ...moves].filter(({ rateMBs }) => rateMBs === rate).length;
  if (seconds > 0)
    try {
      await withLab((lab) =>
        withMeasuredGuest(lab, async (guest) => {
          while (performance.now() < endAtMs) {
            const [rate = 0] = shuffled(ratesMBs).toSorted((a, b) => measured(a) - measured(b));
            await guest.writeAt(rate);
            for (let turn = 0; turn < movesInARow && performance.now() < endAtMs; turn += 1) moves.push(await guest.move());
            console.log(
              `${moves.length} moves; ${rate} MB/s: ${moves
                .slice(-movesInARow)
                .map((move) => move.stopToResumeMs?.toFixed(0))
                .join(' ')} ms`,
            );
          }
          await guest.nothingLost();
        }),
      );
    } catch (error) {
      broken = (error as Error).message;
      console.error(broken);
      process.exitCode = 1;
    }
  for (const rate of ratesMBs) if (measured(rate) > 0) printRate(rate, broken === undefined ? [...before, ...moves] : before);
  if (seconds === 0) return null;
  return broken === undefined ? { moves } : { moves, void: broken };
}
