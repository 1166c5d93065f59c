import { expect, test } from 'vitest';
import { StreamWatch } from './stream-watch.ts';

test('a stream that moves, however slowly, is not stalled; one that stands is, also before its first byte', () => {
  const watch = new StreamWatch(0, 1_000);
  expect(watch.stalled(null, 900)).toBe(false);
  expect(watch.stalled({ transferredBytes: 0 }, 950)).toBe(false);
  expect(watch.stalled({ transferredBytes: 1 }, 1_900)).toBe(false);
  expect(watch.stalled({ transferredBytes: 1 }, 2_899)).toBe(false);
  expect(watch.stalled({ transferredBytes: 1 }, 2_900)).toBe(true);
  expect(new StreamWatch(0, 1_000).stalled(null, 1_000)).toBe(true);
});
