import { describe, expect, it } from 'vitest';
import { sampleDirty } from './dirty-sampling.ts';
import { type GuestMemory, pageBytes } from './guest-memory.ts';

/** A memory of which the first `used` pages hold something, and the first `hot` change between any two looks. */
const memory = (pages: number, used: number, hot: number): GuestMemory => {
  let generation = 1;
  return {
    pages,
    checksums: async (wanted) => {
      generation += 1;
      return Uint32Array.from(wanted, (page) => (page < hot ? 1_000_000 * generation + page : page < used ? page + 1 : 0));
    },
    close: () => undefined,
  };
};
const clock = () => {
  let now = 0;
  return { nowMs: () => now, delay: async (ms: number) => void (now += ms) };
};

describe('sampleDirty', () => {
  it('takes the share of sampled pages for that of the memory', async () => {
    const measure = await sampleDirty(memory(100_000, 60_000, 20_000), [100, 1_000], clock());
    expect(measure.usedBytes / pageBytes / 60_000).toBeGreaterThan(0.97);
    expect(measure.usedBytes / pageBytes / 60_000).toBeLessThan(1.03);
    expect(measure.points.map(({ windowMs }) => windowMs)).toEqual([100, 1_000]);
    for (const { bytes } of measure.points) expect(Math.abs(bytes / pageBytes / 20_000 - 1)).toBeLessThan(0.05);
  });

  it('an idle guest, a small one and an empty one', async () => {
    expect((await sampleDirty(memory(100_000, 50_000, 0), [100], clock())).points).toEqual([{ windowMs: 100, bytes: 0 }]);
    expect((await sampleDirty(memory(10, 10, 5), [100], clock())).points[0]?.bytes).toBe(5 * pageBytes);
    expect(await sampleDirty(memory(0, 0, 0), [100], clock())).toEqual({ usedBytes: 0, points: [{ windowMs: 100, bytes: 0 }] });
  });
});
