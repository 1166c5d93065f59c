import { expect, it } from 'vitest';
import { PeerWatch } from './peer-watch.ts';

it('a peer is silent after three seconds, gone after fifteen, and here again as soon as it answers', () => {
  const watch = new PeerWatch(1_000);
  expect(watch.state(3_999)).toBe('here');
  expect(watch.state(4_000)).toBe('silent');
  expect(watch.state(15_999)).toBe('silent');
  expect(watch.state(16_000)).toBe('gone');
  watch.heard(16_500);
  expect(watch.state(17_000)).toBe('here');
});
