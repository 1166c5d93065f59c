/**
 * The custody rules as switches, all on in production. They exist for one purpose: the explorer turns them off one at a time and must find a
 * counterexample for each (explorer/mutants.ts). A rule that can be turned off without one is either untested or not needed.
 */
export type Rules = {
  /** `taking` is journaled before `cont`. */
  readonly takingJournaled: boolean;
  /** A forfeit needs the boot of the grant. */
  readonly forfeitBootProof: boolean;
  /** A take or an accepted grant needs the boot of the grant. */
  readonly takeBootProof: boolean;
  /** A forfeit is fsynced before it is answered. */
  readonly forfeitFsynced: boolean;
  /** A grant is fsynced before it is answered. */
  readonly grantFsynced: boolean;
  /** A forfeit kills and reaps the incoming QEMU first. */
  readonly forfeitKills: boolean;
  /** A forfeit is refused once `taking` exists. */
  readonly takenNeverForfeits: boolean;
  /** Destroying needs an epoch newer than the copy's. */
  readonly destroyFenced: boolean;
  /** Destroying sends SIGKILL. */
  readonly destroyKills: boolean;
  /** `cont` on a destination only when paused and incoming completed. */
  readonly contGuarded: boolean;
  /** `unpause` is refused for a copy that is not held, or is leaving. */
  readonly unpauseGuarded: boolean;
  /** A release must name the migration, destination and epoch of the grant. */
  readonly releaseMatched: boolean;
  /** Release needs runstate postmigrate beside status completed. */
  readonly releaseNeedsPostmigrate: boolean;
  /** No `cont` after a cancel: QEMU resumes by itself. */
  readonly noContAfterCancel: boolean;
  /** `migrate` needs a known arm. */
  readonly armBeforeMigrate: boolean;
  /** A message at or below an epoch that is finished here is refused. */
  readonly staleEpochRefused: boolean;
  /** The source arms only for an epoch above everything it knows. */
  readonly staleArmRefused: boolean;
  /** A released source resumes only when the forfeited epoch is the one it released to. */
  readonly resumeMatched: boolean;
  /** Commands with a lower fence are refused by hosts. */
  readonly fenceChecked: boolean;
  /** Row writes with a lower fence fail. */
  readonly rowFenced: boolean;
  /** The source answers first, the destination forfeits second. */
  readonly disarmBeforeForfeit: boolean;
  /** A released source is resumed only after a forfeit, never after unknown, silence or fencing. */
  readonly resumeOnlyAfterForfeit: boolean;
  /** Every grant burns a new number. */
  readonly epochBurned: boolean;
  /** A copy that the controller does not know is destroyed when it is reported. */
  readonly supersededDestroyed: boolean;
  /** A start needs the previous copy dead or its host fenced. */
  readonly startNeedsNowhere: boolean;
  /** After a restore nothing is granted until every host reported. */
  readonly recoveryWaits: boolean;
  /** QEMU's own resume ends the migration in our books too. */
  readonly selfResumeHeeded: boolean;
  /** A suspended copy is told of, and written down, only once its memory is durable. */
  readonly memorySynced: boolean;
  /** The take of a copy that is loaded from a memory is fsynced before `cont`: the memory is spent, whatever happens next. */
  readonly memoryTakeFsynced: boolean;
  /** A memory is granted only while its copy is the suspended one: never after a take, never after a start from disk. */
  readonly memorySpentOnce: boolean;
  /** A take from a memory that an adopting agent finishes is fsynced again first: the fsync of `taking` may have failed, and the record be there all the same. */
  readonly memoryTakeFinishedFsynced: boolean;
  /** After a restore a memory is a copy only when no host has taken, or may have taken, a later epoch. */
  readonly overtakenMemoryDropped: boolean;
  /** Nothing is granted to a host while an operator's word that it is fenced stands, whatever it answers: that word may be told to custody at any time. */
  readonly fencedNotGranted: boolean;
  /** A listing without the guest ends it only when its host says, asked after the row was read, that it has booted since: a listing may be read late. */
  readonly absenceAsked: boolean;
  /** Disks where the guest may have run are no leftovers. */
  readonly ranDisksKept: boolean;
  /** The process whose memory was saved is killed. */
  readonly suspendedKills: boolean;
};

export const RULES: Rules = {
  takingJournaled: true,
  forfeitBootProof: true,
  takeBootProof: true,
  forfeitFsynced: true,
  grantFsynced: true,
  forfeitKills: true,
  takenNeverForfeits: true,
  destroyFenced: true,
  destroyKills: true,
  contGuarded: true,
  unpauseGuarded: true,
  releaseMatched: true,
  releaseNeedsPostmigrate: true,
  noContAfterCancel: true,
  armBeforeMigrate: true,
  staleEpochRefused: true,
  staleArmRefused: true,
  resumeMatched: true,
  fenceChecked: true,
  rowFenced: true,
  disarmBeforeForfeit: true,
  resumeOnlyAfterForfeit: true,
  epochBurned: true,
  supersededDestroyed: true,
  startNeedsNowhere: true,
  recoveryWaits: true,
  selfResumeHeeded: true,
  memorySynced: true,
  memoryTakeFsynced: true,
  memorySpentOnce: true,
  memoryTakeFinishedFsynced: true,
  overtakenMemoryDropped: true,
  fencedNotGranted: true,
  absenceAsked: true,
  ranDisksKept: true,
  suspendedKills: true,
};
