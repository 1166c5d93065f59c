import type { Scenario } from './explore.ts';

const two = { hosts: 2, timeTravel: false, stopped: false } as const;

/** What a test run explores: to the end, but for the last. */
export const SCENARIOS: readonly Scenario[] = [
  { name: 'two moves, no fault', ...two, moves: 2, starts: 0, faults: 0 },
  { name: 'two moves between three hosts, no fault', ...two, hosts: 3, moves: 2, starts: 0, faults: 0 },
  { name: 'one move and a start from disk, one fault', ...two, moves: 1, starts: 1, faults: 1 },
  { name: 'one move, and the database travels back', ...two, moves: 1, starts: 0, faults: 1, timeTravel: true },
  {
    name: 'one move of local disks and a start, one fault, told late',
    ...two,
    moves: 1,
    starts: 1,
    faults: 1,
    localDisks: true,
    lateFences: true,
  },
  { name: 'two starts of a stopped server, one fault', ...two, moves: 0, starts: 2, faults: 1, stopped: true },
  { name: 'a suspend and two starts, one fault', ...two, moves: 0, starts: 2, suspends: 1, faults: 1 },
  { name: 'a suspend and a move, one fault', ...two, moves: 1, starts: 0, suspends: 1, faults: 1 },
  { name: 'a suspend and a resume, and the database travels back', ...two, moves: 0, starts: 1, suspends: 1, faults: 1, timeTravel: true },
  { name: 'a resume, two faults', ...two, moves: 0, starts: 1, faults: 2, memory: 'kept' },
  {
    name: 'a memory that was given up on a host cut off, a start, a fault, and the database travels back',
    ...two,
    moves: 0,
    starts: 1,
    faults: 2,
    timeTravel: true,
    memory: 'left',
  },
  { name: 'two moves, two faults', ...two, moves: 2, starts: 0, faults: 2 },
  { name: 'two moves between three hosts, three faults', ...two, hosts: 3, moves: 2, starts: 1, faults: 3, limit: 60_000 },
];

/** For an hour or two, not for every change: GODWIT_EXPLORE=deep. All to their ends. */
export const DEEP_SCENARIOS: readonly Scenario[] = [
  { name: 'one move and a start from disk, two faults', ...two, moves: 1, starts: 1, faults: 2 },
  {
    name: 'two moves of local disks and a start, two faults, told late',
    ...two,
    moves: 2,
    starts: 1,
    faults: 2,
    localDisks: true,
    lateFences: true,
  },
  { name: 'one move, three faults', ...two, moves: 1, starts: 0, faults: 3 },
  { name: 'one move, a fault, and the database travels back', ...two, moves: 1, starts: 0, faults: 2, timeTravel: true },
  { name: 'two moves, three faults', ...two, moves: 2, starts: 0, faults: 3 },
  { name: 'two suspends and three starts, two faults', ...two, moves: 0, starts: 3, suspends: 2, faults: 2 },
  { name: 'a suspend, a move and a resume, one fault', ...two, moves: 1, starts: 1, suspends: 1, faults: 1 },
  {
    name: 'a suspend and a resume, a fault, and the database travels back',
    ...two,
    moves: 0,
    starts: 1,
    suspends: 1,
    faults: 2,
    timeTravel: true,
  },
];

/** Too large for either: random walks through them. */
export const WILDERNESS: readonly Scenario[] = [
  { name: 'three hosts, three faults', ...two, hosts: 3, moves: 2, starts: 2, faults: 3 },
  { name: 'three hosts, three faults, and the database travels back', ...two, hosts: 3, moves: 2, starts: 2, faults: 3, timeTravel: true },
  { name: 'three hosts, two suspends, three faults', ...two, hosts: 3, moves: 2, starts: 3, suspends: 2, faults: 3, timeTravel: true },
  { name: 'a stopped server, three hosts, three faults', ...two, hosts: 3, moves: 1, starts: 2, faults: 3, stopped: true },
];
