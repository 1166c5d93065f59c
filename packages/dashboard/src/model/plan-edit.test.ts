import { expect, it } from 'vitest';
import type { Plan } from '../api/operations.ts';
import { itemsOf, pinsOf, unedited, withLeftOut, withPin } from './plan-edit.ts';

const item = (id: string, destination: string): Plan['items'][number] => ({
  position: 0,
  wave: 1,
  server: { id, name: id, projectId: 'p', status: 'ACTIVE' },
  source: { id: 'h1', name: 'node1' },
  destination: { id: destination, name: destination },
  method: 'live',
  pinned: false,
  makesRoom: false,
  why: [],
  bytes: 1,
  expected: { startMs: 0, endMs: 1 },
});
const plan = {
  kind: 'bulk',
  complete: true,
  items: [item('a', 'node2'), item('b', 'node3'), item('c', 'node2')],
  excluded: [],
  expected: { durationMs: 1, waves: 1, bytes: 3, linkBytesPerSecond: 1, measured: false },
  search: { outcome: 'found', states: 1, sentence: '' },
} satisfies Plan;

it('keeps every other row when one is edited', () => {
  let edit = withPin(unedited, 'a', 'node3');
  edit = withPin(edit, 'b', 'node2');
  edit = withPin(edit, 'a', 'node2');
  expect(pinsOf(edit)).toEqual([
    { server: 'b', host: 'node2' },
    { server: 'a', host: 'node2' },
  ]);
  expect(pinsOf(withPin(edit, 'b', null))).toEqual([{ server: 'a', host: 'node2' }]);
  edit = withLeftOut(edit, 'c', true);
  expect(pinsOf(edit).length).toBe(2);
  expect(withLeftOut(edit, 'c', false).leftOut.size).toBe(0);
});

it('hands the plan over in its order, without what was left out, pinned only where a person said so', () => {
  expect(itemsOf(plan, withLeftOut(withPin(unedited, 'c', 'node2'), 'b', true))).toEqual([
    { server: 'a', destination: 'node2' },
    { server: 'c', destination: 'node2', pinned: true },
  ]);
});
