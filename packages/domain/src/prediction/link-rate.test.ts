import { describe, expect, it } from 'vitest';
import { expectedLinkRate, type LinkReading } from './link-rate.ts';

const MB = 1_000_000;
const read = (source: string, destination: string, ...mbs: readonly number[]): LinkReading[] =>
  mbs.map((mb) => ({ source, destination, bytesPerSecond: mb * MB }));

describe('expectedLinkRate', () => {
  it('is what the link has carried, if it always carried that; null when nothing was seen', () => {
    expect(expectedLinkRate(read('a', 'b', 100, 100, 100), 'a', 'b')).toBeCloseTo(100 * MB, -2);
    expect(expectedLinkRate([], 'a', 'b')).toBeNull();
    expect(expectedLinkRate(read('a', 'b', 0), 'a', 'b')).toBeNull();
  });

  it('tells a slow link from fast ones, and takes a link that was never used for one like the others', () => {
    const readings = [...read('a', 'b', 110, 115, 112, 108, 111), ...read('c', 'd', 1_100, 1_150, 1_120, 1_080, 1_110)];
    const slow = (expectedLinkRate(readings, 'a', 'b') ?? 0) / MB;
    const fast = (expectedLinkRate(readings, 'c', 'd') ?? 0) / MB;
    expect(slow).toBeGreaterThan(90);
    expect(slow).toBeLessThan(220);
    expect(fast / slow).toBeGreaterThan(4);
    expect((expectedLinkRate(readings, 'x', 'y') ?? 0) / slow).toBeGreaterThan(1.5);
  });

  it("does not take a link's old readings for those of now: what has slowed the others since slows it too", () => {
    const before = [...read('a', 'b', 300, 310, 290), ...read('c', 'd', 300, 305, 295, 300)];
    const since = read('c', 'd', 100, 105, 95, 100, 98, 102, 100, 101);
    const now = (expectedLinkRate([...since, ...before], 'a', 'b') ?? 0) / MB;
    expect(now).toBeLessThan(250);
    expect((expectedLinkRate(before, 'a', 'b') ?? 0) / MB).toBeGreaterThan(280);
  });
});
