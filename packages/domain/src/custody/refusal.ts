import type { Epoch, Fence } from '../ids.ts';

/** Every reason why custody says no. The code is stable (API, records, documentation); the sentence is for the person. */
export const REFUSALS = {
  'custody-fence-low': 'A newer executor is in charge of this server; this one must stop.',
  'custody-epoch-stale': 'This epoch was already used, forfeited or superseded on this host.',
  'custody-epoch-unknown': 'This host holds no copy of the server under this epoch.',
  'custody-epoch-not-newer': 'A copy that took, or may have, is destroyed only under a newer epoch.',
  'custody-wrong-host': 'The grant names another host.',
  'custody-wrong-release': 'The release does not name the migration, source, destination and epoch of the grant held here.',
  'custody-boot-changed': 'This host has rebooted since the grant was made.',
  'custody-copy-present': 'This host still has a copy of the server under an older epoch.',
  'custody-copy-absent': 'This host has no live copy of the server.',
  'custody-not-armed': 'The source has not been armed for this epoch.',
  'custody-host-fenced': 'An operator has fenced this host, and it was not let back yet.',
  'custody-migrating': 'The server is being migrated; its vCPUs are not touched until that has ended.',
  'custody-released': 'The source has released the guest and assumes that it runs elsewhere.',
  'custody-not-ready': 'QEMU is not in the state in which the guest may be taken.',
  'custody-taken': 'The guest was taken here; it is destroyed only under a newer epoch.',
  'custody-busy': 'Another custody operation on this server has not ended.',
  'custody-recovering':
    'The database was restored; nothing is granted until every host that could hold the server has reported or is fenced.',
  'custody-not-stopped': 'A copy of the server may still run; it is not started a second time.',
  'custody-suspending': 'The memory of the server is being saved; nothing else is done with it until that has ended.',
  'custody-no-memory': 'This host has no saved memory of the server under the epoch that the grant names.',
  'custody-post-copy-forbidden': 'The grant does not allow post-copy.',
} as const;

export type RefusalCode = keyof typeof REFUSALS;

/** A refusal is an answer, not an exception: nothing has changed when one is given. */
export type Refusal = {
  readonly code: RefusalCode;
  readonly message: string;
  /** The epoch that the refused message carried, if any. */
  readonly epoch: Epoch | null;
  /** The highest epoch and fence known where it was refused: a controller that reads a higher one than its own must reconcile (rule 8). */
  readonly knownEpoch: Epoch;
  readonly knownFence: Fence;
};
