import { expect, test } from 'vitest';
import { cells, faults, isLive, isTrueEnd, phases, victims } from './cells.ts';
import { passedRunning } from './past-runs.ts';
import type { CellResult } from './run-cell.ts';

test('every fault × victim × phase stands in the table once: with true ends, or with the reason why there is none', () => {
  expect(new Set(cells.map(({ fault, victim, phase }) => `${fault} ${victim} ${phase}`)).size).toBe(
    faults.length * victims.length * phases.length,
  );
  expect(cells).toHaveLength(faults.length * victims.length * phases.length);
  expect(cells.filter((cell) => (isLive(cell) ? cell.ends.length : cell.empty.length) === 0)).toEqual([]);
});

test('no cell calls a guest lost without a cause', () => {
  const ends = cells.filter(isLive).flatMap((cell) => cell.ends);
  expect(ends.filter((end) => 'causes' in end && end.causes.length === 0)).toEqual([]);
});

test('whatever becomes of the source after the release, the move completes', () => {
  const after = cells
    .filter(isLive)
    .filter(({ phase, victim }) => ['released', 'taking', 'taken', 'committing'].includes(phase) && victim.startsWith('source'));
  expect(after.length).toBeGreaterThan(0);
  expect(after.filter(({ ends }) => ends.length !== 1 || ends[0]?.runsOn !== 'destination')).toEqual([]);
});

test('a record’s end is true only with where the guest runs and a cause that the cell allows', () => {
  const cell = cells
    .filter(isLive)
    .find(({ fault, victim, phase }) => fault === 'kill' && victim === 'destination-qemu' && phase === 'copying');
  if (cell === undefined) throw new Error('the table lacks a cell');
  expect(isTrueEnd(cell, { runsOn: 'source', cause: 'DestinationDied' })).toBe(true);
  expect(isTrueEnd(cell, { runsOn: 'source', cause: 'StreamFailed' })).toBe(false);
  expect(isTrueEnd(cell, { runsOn: 'source', cause: null })).toBe(false);
  expect(isTrueEnd(cell, { runsOn: 'nowhere', cause: 'DestinationDied' })).toBe(false);
  expect(isTrueEnd(cell, { runsOn: 'destination', cause: null })).toBe(false);
});

test('a cell has passed as often as it has since it last failed', () => {
  const run = (passed: boolean): CellResult => ({
    fault: 'kill',
    victim: 'controller',
    phase: 'taken',
    passed,
    seconds: 1,
    proof: '',
    injury: '',
    end: '',
    wayOut: null,
    breaches: [],
  });
  expect(passedRunning([])).toBe(0);
  expect(passedRunning([true, true].map(run))).toBe(2);
  expect(passedRunning([true, false, true].map(run))).toBe(1);
  expect(passedRunning([true, true, false].map(run))).toBe(0);
});
