import { expect, test } from 'vitest';
import type { ReleaseNotice } from './host-driver.ts';
import { HostEvents } from './host-events.ts';

const release = { kind: 'release', release: {} as ReleaseNotice } as const;

test('a watcher gets what it missed, or is told that nobody knows any more', () => {
  const events = new HostEvents(() => 0, 100);
  expect(events.after(99)).toEqual([]);
  events.emit(release);
  events.emit(release);
  expect(events.after(100)?.map(({ sequence }) => sequence)).toEqual([101]);
  expect(events.after(101)).toEqual([]);
  // Of an earlier agent, or from the future: a full report is needed.
  expect([events.after(98), events.after(102)]).toEqual([null, null]);
  for (let turn = 0; turn < 2_000; turn += 1) events.emit(release);
  expect(events.after(101)).toBeNull();
});
