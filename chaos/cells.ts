/**
 * The cells of the fault suite: what fails × who it befalls × when. Plain data, read by the runner, the summary and the tests. Every combination stands here once: with the ends that are
 * true, or with the reason why there is nothing to do.
 */
import type { MigrationCause } from '@godwit/domain/migration';

/** In the order in which a move meets them. From `stopped` to `taken` is the switchover: its cells are run by `make test` too. */
export const phases = [
  'scheduling',
  'queued',
  'preparing',
  'copying',
  /** The guest stands still, its disks are being ended; nothing is final. */
  'stopped',
  /** QEMU has completed; the source has not released. */
  'completed',
  /** The destination has heard the release, and not taken. */
  'released',
  /** Written down that it takes; `cont` not sent. */
  'taking',
  /** The guest runs at the destination; the controller has not written it. */
  'taken',
  'committing',
] as const;
export type Phase = (typeof phases)[number];
export const switchover: readonly Phase[] = ['stopped', 'completed', 'released', 'taking', 'taken'];

export const faults = [
  'kill',
  'freeze',
  'power-loss',
  'power-off',
  'link-down',
  'disk-full',
  'pool-full',
  'disk-slow',
  'clock-skew',
  'database-down',
  'takeover',
] as const;
export type Fault = (typeof faults)[number];

export const victims = [
  'controller',
  'source-agent',
  'destination-agent',
  'source-qemu',
  'destination-qemu',
  'source-host',
  'destination-host',
  'source-link',
  'destination-link',
] as const;
export type Victim = (typeof victims)[number];

/** What each fault is here, for the summary and whoever reads the table. */
export const faultWords: Readonly<Record<Fault, string>> = {
  kill: 'kill -9',
  freeze: 'SIGSTOP for 6 s, then SIGCONT',
  'power-loss': 'every process of the host dies, unsynced journal bytes are lost, and it boots again',
  'power-off': 'the same, and it stays off until a way out that the record names is taken',
  'link-down': 'the management cable is pulled for 8 s',
  'disk-full': "the host's own disk (journals, run directories, records of moves) is full for 8 s",
  'pool-full': "the host's local pool, on a disk of its own, is full for 8 s; the guest's disk is local",
  'disk-slow': "the host's own disk and its local pool do 20 reads or writes a second, for 8 s; the guest's disk is local",
  'clock-skew': "the agent's clock is half a second wrong",
  'database-down': 'kill -9 of every process of PostgreSQL; nobody but the product starts it again',
  takeover: 'the controller in charge is stopped until another has taken over and ended the move; then it wakes',
};

/** How a move may truthfully end. */
export type End =
  | { readonly runsOn: 'destination' }
  | { readonly runsOn: 'source' | 'nowhere'; readonly causes: readonly MigrationCause[] };

type Cell = { readonly fault: Fault; readonly victim: Victim; readonly phase: Phase };
export type LiveCell = Cell & { readonly ends: readonly End[] };
export type EmptyCell = Cell & { readonly empty: string };

const done: End = { runsOn: 'destination' };
const stays = (...causes: MigrationCause[]): End => ({ runsOn: 'source', causes });
const lost = (...causes: MigrationCause[]): End => ({ runsOn: 'nowhere', causes });

type Row = Readonly<Record<Phase, readonly End[] | string>>;
const all = (ends: readonly End[] | string): Row => Object.fromEntries(phases.map((phase) => [phase, ends])) as Row;

const NO_DESTINATION_QEMU = 'the destination has no QEMU of this guest yet';
/** After the release nothing that becomes of the source changes the end. */
const afterRelease = { released: [done], taking: [done], taken: [done], committing: [done] } as const;

const sourceDies: Row = {
  ...all([lost('SourceDied', 'SourceDown', 'GuestCrashed')]),
  // The point holds the event of QEMU, not the agent's next look at it: it may have released by then, and the destination has all of the guest.
  completed: [lost('SourceDied', 'SourceDown', 'GuestCrashed'), done],
  ...afterRelease,
};
/** A destination that boots again before it was chosen for good may still be used. Once it may have taken, the source's memory is never resumed. */
const destinationOff: Row = {
  scheduling: [done, stays('DestinationDown', 'PrepareFailed', 'NoValidHost')],
  queued: [done, stays('DestinationDown', 'PrepareFailed', 'NoValidHost')],
  preparing: [stays('DestinationDown', 'PrepareFailed')],
  copying: [stays('DestinationDown', 'StreamFailed')],
  stopped: [stays('DestinationDown', 'StreamFailed', 'SwitchoverTimeout')],
  completed: [lost('DestinationDown', 'DestinationDied')],
  released: [lost('DestinationDown', 'DestinationDied')],
  taking: [lost('DestinationDown', 'DestinationDied', 'GuestCrashedOnArrival')],
  taken: [lost('DestinationDown', 'DestinationDied', 'GuestCrashedOnArrival')],
  committing: [lost('DestinationDown', 'DestinationDied', 'GuestCrashedOnArrival')],
};

/** What cannot be written down is not done: a move whose source cannot arm, or cannot write that it has released, ends or waits; the guest never stands for it longer than custody lets it. */
const fullAtSource: Row = {
  ...all([done, stays('StreamFailed', 'PrepareFailed', 'SwitchoverTimeout', 'NoSpace')]),
  completed: [done],
  ...afterRelease,
};
const fullAtDestination: Row = {
  ...all([done, stays('StreamFailed', 'PrepareFailed', 'SwitchoverTimeout', 'NoSpace')]),
  completed: [done],
  // It is told the release again until it can write that it takes.
  ...afterRelease,
};
/** A guest whose write finds no room stands still at the host it is on: its QEMU is alive, and the move is over. */
const poolFullAtSource: Row = {
  ...all([done, stays('StreamFailed', 'NoSpace', 'SwitchoverTimeout'), lost('GuestDiskError')]),
  ...afterRelease,
};
const poolFullAtDestination: Row = {
  ...all([done, stays('StreamFailed', 'PrepareFailed', 'NoSpace', 'SwitchoverTimeout'), lost('GuestDiskError')]),
  // The only other host may be known to be full already.
  scheduling: [done, stays('NoValidHost', 'StreamFailed', 'PrepareFailed', 'NoSpace', 'SwitchoverTimeout'), lost('GuestDiskError')],
  completed: [done, lost('GuestDiskError')],
  released: [done, lost('GuestDiskError')],
  taking: [done, lost('GuestDiskError')],
  taken: [done, lost('GuestDiskError')],
  committing: [done, lost('GuestDiskError')],
};
const slowDisk: Row = {
  ...all([done, stays('StreamFailed', 'PrepareFailed', 'SwitchoverTimeout', 'DestinationDown', 'Stuck')]),
  completed: [done],
  ...afterRelease,
};

const rows: Readonly<Record<Fault, Readonly<Record<Victim, Row>>>> = {
  kill: {
    controller: all([done]),
    'source-agent': {
      ...all([done]),
      copying: [done, stays('StreamFailed')],
      // Back within the second that custody gives the stop, it ends the disks and goes on.
      stopped: [done, stays('StreamFailed', 'SwitchoverTimeout')],
    },
    'destination-agent': { ...all([done]), preparing: [done, stays('PrepareFailed', 'DestinationDown')] },
    // A source that has not noticed the death yet may still release: the destination has all of the guest.
    'source-qemu': sourceDies,
    'destination-qemu': {
      ...all(NO_DESTINATION_QEMU),
      preparing: [stays('PrepareFailed', 'DestinationDied')],
      copying: [stays('DestinationDied')],
      stopped: [stays('DestinationDied', 'StreamFailed')],
      completed: [stays('DestinationDied')],
      // It may write down that it takes before it notices the death; then nobody may go on, the source included.
      released: [stays('DestinationDied'), lost('DestinationDied', 'GuestCrashedOnArrival')],
      taking: [lost('DestinationDied', 'GuestCrashedOnArrival')],
      taken: [lost('GuestCrashedOnArrival')],
      committing: [lost('GuestCrashedOnArrival')],
    },
    'source-host': all('a host is not killed: see power-loss'),
    'destination-host': all('a host is not killed: see power-loss'),
    'source-link': all('a link is not killed: see link-down'),
    'destination-link': all('a link is not killed: see link-down'),
  },
  freeze: {
    controller: all([done]),
    'source-agent': { ...all([done]), stopped: [done, stays('StreamFailed', 'SwitchoverTimeout')] },
    'destination-agent': {
      ...all([done]),
      preparing: [done, stays('PrepareFailed', 'DestinationDown')],
      stopped: [done, stays('StreamFailed', 'SwitchoverTimeout')],
    },
    'source-qemu': {
      ...all([done, stays('StreamFailed', 'PrepareFailed', 'Stuck')]),
      stopped: [done, stays('StreamFailed', 'SwitchoverTimeout')],
      completed: [done],
      ...afterRelease,
    },
    'destination-qemu': {
      ...all(NO_DESTINATION_QEMU),
      preparing: [done, stays('PrepareFailed', 'DestinationDied')],
      copying: [done, stays('StreamFailed', 'DestinationDied')],
      stopped: [done, stays('StreamFailed', 'SwitchoverTimeout')],
      completed: [done],
      ...afterRelease,
    },
    'source-host': all('the agent and the QEMUs of a host are frozen one by one in their own rows'),
    'destination-host': all('the agent and the QEMUs of a host are frozen one by one in their own rows'),
    'source-link': all('a link is not frozen: see link-down'),
    'destination-link': all('a link is not frozen: see link-down'),
  },
  'power-loss': {
    ...onlyHosts('power is a host’s: its agent and its QEMUs die with it'),
    'source-host': sourceDies,
    'destination-host': destinationOff,
  },
  'power-off': {
    ...onlyHosts('power is a host’s: its agent and its QEMUs die with it'),
    'source-host': sourceDies,
    'destination-host': destinationOff,
  },
  'link-down': {
    ...onlyHosts('a link is pulled, not a process'),
    'source-host': all('a host is cut off by its link: see source-link'),
    'destination-host': all('a host is cut off by its link: see destination-link'),
    'source-link': linkDown(),
    'destination-link': linkDown(),
  },
  'disk-full': { ...onlyHosts('a disk is a host’s'), 'source-host': fullAtSource, 'destination-host': fullAtDestination },
  'pool-full': { ...onlyHosts('a pool is a host’s'), 'source-host': poolFullAtSource, 'destination-host': poolFullAtDestination },
  'disk-slow': { ...onlyHosts('a disk is a host’s'), 'source-host': slowDisk, 'destination-host': slowDisk },
  'clock-skew': {
    ...onlyHosts('an agent’s clock measures; nobody else’s decides anything about a move'),
    'source-host': all('the clock that counts is the agent’s: see source-agent'),
    'destination-host': all('the clock that counts is the agent’s: see destination-agent'),
    'source-agent': { ...all('a clock is wrong for a whole move: set before the first phase'), scheduling: [done] },
    'destination-agent': { ...all('a clock is wrong for a whole move: set before the first phase'), scheduling: [done] },
  },
  'database-down': {
    ...onlyHosts('only controllers have a database'),
    'source-host': all('only controllers have a database'),
    'destination-host': all('only controllers have a database'),
    controller: all([done]),
  },
  takeover: {
    ...onlyHosts('only a controller’s work is taken over'),
    'source-host': all('only a controller’s work is taken over'),
    'destination-host': all('only a controller’s work is taken over'),
    controller: all([done]),
  },
};

/** A link that comes back within the patience of a phase delays it; a stream or a disk copy that stands still for 5 s is given up before the release, never after. */
function linkDown(): Row {
  return {
    ...all([done]),
    preparing: [done, stays('PrepareFailed', 'DestinationDown', 'StreamFailed')],
    copying: [done, stays('StreamFailed', 'DestinationDown')],
    stopped: [done, stays('StreamFailed', 'SwitchoverTimeout', 'DestinationDown')],
  };
}

function onlyHosts(why: string): Readonly<Record<Victim, Row>> {
  return Object.fromEntries(victims.map((victim) => [victim, all(why)])) as Record<Victim, Row>;
}

/** Every combination, in the order of the lists above. */
export const cells: readonly (LiveCell | EmptyCell)[] = faults.flatMap((fault) =>
  victims.flatMap((victim) =>
    phases.map((phase) => {
      const said = rows[fault][victim][phase];
      return typeof said === 'string' ? { fault, victim, phase, empty: said } : { fault, victim, phase, ends: said };
    }),
  ),
);

export const isLive = (cell: LiveCell | EmptyCell): cell is LiveCell => 'ends' in cell;

/** Whether a record's end is one of those that the cell calls true. */
export function isTrueEnd(
  { ends }: LiveCell,
  { runsOn, cause }: { readonly runsOn: string; readonly cause: MigrationCause | null },
): boolean {
  return ends.some((end) => end.runsOn === runsOn && ('causes' in end ? cause !== null && end.causes.includes(cause) : cause === null));
}
