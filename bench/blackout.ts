import { withLab } from './bench-lab.ts';
import { type MeasuredMove, withMeasuredGuest } from './measured-move.ts';
import { printRate } from './print-rate.ts';
import { resultsOf } from './results.ts';
import { shuffled } from './shuffled.ts';

export type BlackoutWindow = {
  readonly moves: readonly MeasuredMove[];
  /** Moves that were given up, with the words of their records. */
  readonly failures?: readonly { readonly rateMBs: number; readonly why: string }[];
  /** Why nothing of it counts, e.g. that something was lost. */
  readonly void?: string;
};

const ratesMBs: readonly number[] = [0, 50, 200];
/** A change of rate costs more than a move. */
const movesInARow = 5;
/** Left for taking everything down. */
const reserveMs = 15_000;

/**
 * Moves one guest back and forth for `seconds` (0: not at all), the rates with the fewest moves so far more often, and prints all that such windows have measured. Blackouts are told apart by their
 * tails, and tails need hundreds. A move that was given up is counted as that; a window in which something was lost counts for nothing, and the exit code says so.
 */
export async function benchBlackout(seconds: number): Promise<BlackoutWindow | null> {
  const endAtMs = performance.now() + seconds * 1000 - reserveMs;
  const before = resultsOf('blackout').flatMap(({ raw }) =>
    (raw as BlackoutWindow).void === undefined ? (raw as BlackoutWindow).moves : [],
  );
  const moves: MeasuredMove[] = [];
  const failures: { readonly rateMBs: number; readonly why: string }[] = [];
  let broken: string | undefined;
  const measured = (rate: number): number => [...before, ...moves].filter(({ rateMBs }) => rateMBs === rate).length;
  if (seconds > 0)
    try {
      await withLab((lab) =>
        withMeasuredGuest(lab, async (guest) => {
          while (performance.now() < endAtMs) {
            const [rate = 0] = shuffled(ratesMBs).toSorted((a, b) => measured(a) - measured(b));
            await guest.writeAt(rate);
            for (let turn = 0; turn < movesInARow && performance.now() < endAtMs; turn += 1)
              try {
                moves.push(await guest.move());
              } catch (error) {
                failures.push({ rateMBs: rate, why: (error as Error).message });
                console.log(`${rate} MB/s: ${(error as Error).message}`);
                break;
              }
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
  console.log(`given up in this window: ${failures.length}`);
  return broken === undefined ? { moves, failures } : { moves, failures, void: broken };
}
