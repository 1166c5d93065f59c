/**
 * QEMU's runstates as far as custody tells them apart; every other one (`io-error`, `shutdown`, `guest-panicked`…) is `other`:
 * alive, not running, and neither before a load nor after a migration.
 */
export type QemuRunstate = 'prelaunch' | 'inmigrate' | 'paused' | 'running' | 'finish-migrate' | 'postmigrate' | 'other';

/**
 * `query-migrate` status. QEMU has one field for both directions: a guest that arrived shows `completed` until it leaves itself, and a source
 * shows the result of its last attempt until the next one begins. Therefore no rule looks at it without the runstate and our own state beside it.
 */
export type QemuMigrationStatus =
  | 'none'
  | 'setup'
  | 'active'
  | 'pre-switchover'
  | 'device'
  | 'postcopy-device'
  | 'postcopy-active'
  | 'postcopy-paused'
  | 'cancelling'
  | 'cancelled'
  | 'failed'
  | 'completed'
  | 'other';

/** What one look at a QEMU process showed (`query-status` and `query-migrate`). */
export type QemuView = { readonly runstate: QemuRunstate; readonly migration: QemuMigrationStatus };

/** The identity of a process: a pid alone is reused; start time is field 22 of /proc/PID/stat, in clock ticks since boot. */
export type QemuProcess = { readonly pid: number; readonly startTicks: number };

/** True while QEMU itself may still stop, resume or finish the guest: `cont` is forbidden on a source meanwhile (rule 1). */
export function migrationInProgress(status: QemuMigrationStatus): boolean {
  switch (status) {
    case 'setup':
    case 'active':
    case 'pre-switchover':
    case 'device':
    case 'postcopy-device':
    case 'postcopy-active':
    case 'postcopy-paused':
    case 'cancelling':
    case 'other':
      return true;
    case 'none':
    case 'cancelled':
    case 'failed':
    case 'completed':
      return false;
  }
}
