/** One-line breakages of the rules. The explorer must find a counterexample for every one of them; mutants.test.ts requires it. */
import { RULES, type Rules } from '../rules.ts';
import type { Scenario } from './explore.ts';
import type { Quirks } from './host-changes.ts';

export type Mutant = {
  readonly name: string;
  readonly rules: Rules;
  readonly quirks?: Quirks;
  /** The smallest world in which it shows. */
  readonly scenario: Omit<Scenario, 'name'>;
};

const without = (rule: keyof Rules): Rules => ({ ...RULES, [rule]: false });
const two = { hosts: 2, timeTravel: false, stopped: false } as const;
const stopped = { ...two, moves: 0, stopped: true } as const;
const resumed = { ...two, moves: 0, suspends: 1, starts: 2 } as const;
const oneMove = { ...two, moves: 1, starts: 0 } as const;
const twoMoves = { ...two, moves: 2, starts: 0 } as const;

export const MUTANTS: readonly Mutant[] = [
  { name: 'taking-not-journaled', rules: without('takingJournaled'), scenario: { ...oneMove, faults: 1 } },
  { name: 'boot-proof-skipped-in-forfeit', rules: without('forfeitBootProof'), scenario: { ...oneMove, faults: 1 } },
  { name: 'boot-proof-skipped-in-grant-and-take', rules: without('takeBootProof'), scenario: { ...stopped, starts: 2, faults: 1 } },
  { name: 'forfeit-not-fsynced', rules: without('forfeitFsynced'), scenario: { ...oneMove, faults: 1 } },
  { name: 'grant-not-fsynced', rules: without('grantFsynced'), scenario: { ...oneMove, faults: 1 } },
  { name: 'forfeit-leaves-qemu-alive', rules: without('forfeitKills'), scenario: { ...oneMove, faults: 0 } },
  { name: 'taken-copy-forfeits', rules: without('takenNeverForfeits'), scenario: { ...oneMove, faults: 0 } },
  { name: 'destroy-unfenced', rules: without('destroyFenced'), scenario: { ...twoMoves, faults: 0 } },
  { name: 'superseded-not-killed', rules: without('destroyKills'), scenario: { ...two, moves: 0, starts: 1, faults: 1 } },
  { name: 'superseded-not-told', rules: without('supersededDestroyed'), scenario: { ...oneMove, faults: 1, timeTravel: true } },
  { name: 'cont-unguarded-in-inmigrate', rules: without('contGuarded'), scenario: { ...oneMove, faults: 0 } },
  { name: 'unpause-unguarded', rules: without('unpauseGuarded'), scenario: { ...oneMove, faults: 0 } },
  { name: 'release-accepted-for-other-epoch', rules: without('releaseMatched'), scenario: { ...twoMoves, faults: 0 } },
  { name: 'release-on-completed-alone', rules: without('releaseNeedsPostmigrate'), scenario: { ...oneMove, faults: 1 } },
  { name: 'cont-after-cancel', rules: without('noContAfterCancel'), scenario: { ...oneMove, faults: 0 } },
  { name: 'migrate-without-arm', rules: without('armBeforeMigrate'), scenario: { ...oneMove, faults: 0 } },
  { name: 'late-grant-accepted', rules: without('staleEpochRefused'), scenario: { ...two, moves: 0, starts: 2, faults: 1 } },
  { name: 'late-arm-accepted', rules: without('staleArmRefused'), scenario: { ...oneMove, faults: 0 } },
  { name: 'resume-for-other-epoch', rules: without('resumeMatched'), scenario: { ...twoMoves, faults: 0 } },
  { name: 'fence-not-checked-by-agents', rules: without('fenceChecked'), scenario: { ...oneMove, faults: 1 } },
  { name: 'fence-not-checked-by-row', rules: without('rowFenced'), scenario: { ...twoMoves, faults: 1 } },
  { name: 'forfeit-before-disarm', rules: without('disarmBeforeForfeit'), scenario: { ...oneMove, faults: 0 } },
  { name: 'resume-after-unknown', rules: without('resumeOnlyAfterForfeit'), scenario: { ...oneMove, faults: 1 } },
  { name: 'epoch-reused', rules: without('epochBurned'), scenario: { ...twoMoves, faults: 0 } },
  { name: 'start-beside-a-live-copy', rules: without('startNeedsNowhere'), scenario: { ...two, moves: 0, starts: 1, faults: 0 } },
  {
    name: 'database-time-travel-grants',
    rules: without('recoveryWaits'),
    scenario: { ...two, moves: 1, starts: 1, faults: 1, timeTravel: true },
  },
  { name: 'self-resume-ignored', rules: without('selfResumeHeeded'), scenario: { ...oneMove, faults: 0 } },
  { name: 'suspended-before-durable', rules: without('memorySynced'), scenario: { ...resumed, starts: 1, faults: 0 } },
  { name: 'memory-spent-after-cont', rules: without('memoryTakeFsynced'), scenario: { ...resumed, starts: 1, faults: 1 } },
  { name: 'memory-resumed-twice', rules: without('memorySpentOnce'), scenario: { ...resumed, faults: 1 } },
  {
    name: 'memory-take-finished-unsynced',
    rules: without('memoryTakeFinishedFsynced'),
    scenario: { ...two, moves: 0, starts: 1, faults: 2, memory: 'kept' },
  },
  {
    name: 'memory-overtaken-resumed',
    rules: without('overtakenMemoryDropped'),
    scenario: { ...two, moves: 0, starts: 1, faults: 2, timeTravel: true, memory: 'left' },
  },
  {
    name: 'granted-while-fenced',
    rules: without('fencedNotGranted'),
    scenario: { ...two, moves: 0, starts: 2, faults: 1, lateFences: true },
  },
  { name: 'late-listing-believed', rules: without('absenceAsked'), scenario: { ...two, moves: 0, starts: 1, faults: 1, stopped: true } },
  {
    name: 'disks-deleted-where-it-ran',
    rules: without('ranDisksKept'),
    scenario: { ...two, moves: 1, starts: 1, faults: 1, localDisks: true },
  },
  { name: 'suspended-qemu-left-alive', rules: without('suspendedKills'), scenario: { ...resumed, starts: 0, faults: 0 } },
  {
    name: 'agent-starts-guests-after-boot',
    rules: RULES,
    quirks: { startsAtBoot: true },
    scenario: { ...two, moves: 0, starts: 1, faults: 1 },
  },
];
