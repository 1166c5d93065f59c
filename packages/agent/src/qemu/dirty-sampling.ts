import type { DirtyPoint } from '@godwit/domain/prediction/dirty-curve';
import { type GuestMemory, pageBytes } from './guest-memory.ts';

/** What sampling a guest's memory has shown. */
export type DirtyMeasure = {
  /** Memory that holds anything but zeros: what a first pass has to send. */
  readonly usedBytes: number;
  /** Different memory that changed over each window. */
  readonly points: readonly DirtyPoint[];
};

/** With so many pages a twentieth of the memory that changes is known to a tenth. */
const sampledPages = 2_048;

/**
 * Looks at the same random pages again after each window, and takes the share that has changed for that of the whole memory. Takes as long as the longest window. Windows in
 * milliseconds, ascending. A page that is written with what it held already does not count; a migration would send it.
 */
export async function sampleDirty(
  memory: GuestMemory,
  windowsMs: readonly number[],
  clock: { readonly nowMs: () => number; readonly delay: (ms: number) => Promise<unknown> },
  random: () => number = Math.random,
): Promise<DirtyMeasure> {
  const pages = samplePages(memory.pages, random);
  const startedAt = clock.nowMs();
  const before = await memory.checksums(pages);
  // A pass takes a few milliseconds: the window is from the middle of one to the middle of the other.
  const passMs = clock.nowMs() - startedAt;
  const points: DirtyPoint[] = [];
  let used = before;
  for (const windowMs of windowsMs) {
    await clock.delay(Math.max(0, startedAt + windowMs - clock.nowMs()));
    const lookedAt = clock.nowMs();
    const after = await memory.checksums(pages);
    let changed = 0;
    for (const [index, sum] of after.entries()) if (sum !== before[index]) changed += 1;
    points.push({
      windowMs: lookedAt - startedAt + (clock.nowMs() - lookedAt - passMs) / 2,
      bytes: scaled(changed, pages.length, memory.pages),
    });
    used = after;
  }
  let full = 0;
  for (const sum of used) if (sum !== 0) full += 1;
  return { usedBytes: scaled(full, pages.length, memory.pages), points };
}

const scaled = (found: number, looked: number, all: number): number => (looked === 0 ? 0 : Math.round((found / looked) * all * pageBytes));

/** One page out of each of as many equal stretches: spread like chance, but evenly. */
function samplePages(all: number, random: () => number): readonly number[] {
  const count = Math.min(all, sampledPages);
  return Array.from({ length: count }, (_, index) => {
    const from = Math.floor((index * all) / count);
    const to = Math.floor(((index + 1) * all) / count);
    return from + Math.floor(random() * (to - from));
  });
}
