import type { Epoch } from '../ids.ts';
import type { HostCustody } from './host-custody.ts';
import { migrationInProgress, type QemuView } from './qemu-view.ts';
import type { RefusalCode } from './refusal.ts';

/** Why the vCPUs of this host's copy are not touched by an order that names `epoch`; null: they may be. */
export function vcpusRefused({ copy }: HostCustody, epoch: Epoch, view: QemuView | null): RefusalCode | null {
  if (copy.kind === 'released') return 'custody-released';
  if (copy.kind !== 'held' || copy.grant.epoch !== epoch) return 'custody-epoch-unknown';
  if (!copy.alive || view === null) return 'custody-copy-absent';
  if (copy.suspending === true) return 'custody-suspending';
  if (copy.outgoing !== null) return 'custody-migrating';
  if (view.runstate === 'inmigrate' || !copy.settled) return 'custody-not-ready';
  return migrationInProgress(view.migration) && !copy.grant.postCopy ? 'custody-migrating' : null;
}
