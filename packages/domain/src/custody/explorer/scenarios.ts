import type { Scenario } from './explore.ts';

const two = { hosts: 2, timeTravel: false, stopped: false } as const;

/** Every world that a test run explores to its end. */
export const SCENARIOS: readonly Scenario[] = [
  { name: 'two moves, no fault', ...two, moves: 2, starts: 0, faults: 0 },
  { name: 'two moves between three hosts, no fault', ...two, hosts: 3, moves: 2, starts: 0, faults: 0 },
  { name: 'one move and a start from disk, one fault', ...two, moves: 1, starts: 1, faults: 1 },
  { name: 'one move, and the database travels back', ...two, moves: 1, starts: 0, faults: 1, timeTravel: true },
  { name: 'two starts of a stopped server, one fault', ...two, moves: 0, starts: 2, faults: 1, stopped: true },
];

/** For an hour, not for every change: GODWIT_EXPLORE=deep. */
export const DEEP_SCENARIOS: readonly Scenario[] = [
  { name: 'two moves, one fault', ...two, moves: 2, starts: 0, faults: 1 },
  { name: 'one move, two faults', ...two, moves: 1, starts: 0, faults: 2 },
  { name: 'one move and a start from disk, two faults', ...two, moves: 1, starts: 1, faults: 2 },
  { name: 'one move, a fault, and the database travels back', ...two, moves: 1, starts: 0, faults: 2, timeTravel: true },
  { name: 'one move, three faults', ...two, moves: 1, starts: 0, faults: 3 },
  { name: 'two moves, two faults', ...two, moves: 2, starts: 0, faults: 2 },
  { name: 'two moves between three hosts, three faults', ...two, hosts: 3, moves: 2, starts: 1, faults: 3 },
];
