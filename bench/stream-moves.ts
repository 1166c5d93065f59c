import type { MemoryStream } from '@godwit/domain/memory-stream';
import { memoryStreams } from '@godwit/domain/memory-stream';
import { withLab } from './bench-lab.ts';
import { type MeasuredMove, withMeasuredGuest } from './measured-move.ts';
import { printed, summarise } from './quantiles.ts';
import { shuffled } from './shuffled.ts';

/** What a move is asked for, besides its guest's writing: a stream, and a cap in MB/s (0: none). */
type Way = { readonly memoryStream: MemoryStream; readonly rateMBs: number; readonly capMBs: number };
export type StreamMove = MeasuredMove & Way;
export type StreamWindow = {
  readonly moves: readonly StreamMove[];
  /** Moves that were given up, with the words of their records. */
  readonly failures: readonly (Way & { readonly why: string })[];
};

/** The last is a slow link, and shows how well its cap is kept. */
const loads = [
  { rateMBs: 0, capMBs: 0 },
  { rateMBs: 50, capMBs: 0 },
  { rateMBs: 0, capMBs: 20 },
] as const;
/** Left for taking everything down. */
const reserveMs = 15_000;

/** Moves one guest through the public API for `seconds`, by a policy that names each of the memory streams in turn, in random order, and prints what each took. */
export async function benchStreamMoves(seconds: number): Promise<StreamWindow> {
  const endAtMs = performance.now() + seconds * 1000 - reserveMs;
  const moves: StreamMove[] = [];
  const failures: (Way & { readonly why: string })[] = [];
  await withLab((lab) =>
    withMeasuredGuest(lab, async (guest) => {
      while (performance.now() < endAtMs)
        for (const load of shuffled(loads)) {
          await guest.writeAt(load.rateMBs);
          for (const memoryStream of shuffled(memoryStreams)) {
            if (performance.now() > endAtMs) break;
            const way = { ...load, memoryStream };
            try {
              const move = { ...(await guest.move({ memoryStream, capMBs: load.capMBs })), ...way };
              moves.push(move);
              console.log(JSON.stringify(move));
            } catch (error) {
              failures.push({ ...way, why: (error as Error).message });
              console.log(`${JSON.stringify(way)}: ${(error as Error).message}`);
            }
          }
        }
      await guest.nothingLost();
    }),
  );
  for (const [what, mine] of Map.groupBy(
    moves,
    ({ memoryStream, rateMBs, capMBs }) => `${rateMBs} MB/s written, ${capMBs === 0 ? 'no cap' : `cap ${capMBs} MB/s`}, ${memoryStream}`,
  )) {
    const column = (pick: (move: StreamMove) => number | null): string => printed(summarise(mine.flatMap((move) => pick(move) ?? [])));
    console.log(
      `${what}: QEMU's total ${column((move) => move.qemuTotalMs)}, blackout ${column((move) => move.stopToResumeMs)} ms, ${column(({ wireBytes }) => (wireBytes ?? 0) / 1e6)} MB on the wire, ${column(({ wireBytes, qemuTotalMs }) => (qemuTotalMs === null ? null : (wireBytes ?? 0) / 1e3 / qemuTotalMs))} MB/s`,
    );
  }
  console.log(`given up: ${failures.length}`);
  return { moves, failures };
}
