import type { BootId, Epoch, Fence } from '../ids.ts';
import type { Grant } from './grant.ts';
import type { HostCustody } from './host-custody.ts';
import type { QemuProcess } from './qemu-view.ts';

/** What a host writes down about one server. `recover` folds these, in order, into a `HostCustody`. */
export type JournalRecord =
  /** fsync: an answered grant is known after a power loss. */
  | { readonly kind: 'grant'; readonly grant: Grant }
  /** plain: the process is dead after a power loss anyway. */
  | { readonly kind: 'bound'; readonly epoch: Epoch; readonly process: QemuProcess }
  /** plain, and before `cont`: after a power loss the boot id tells what this would have told. fsync when the guest is loaded from a memory, which no boot id outlives. */
  | { readonly kind: 'taking'; readonly epoch: Epoch; readonly bootId: BootId; readonly process: QemuProcess }
  /** plain, after `cont`: an agent that finds `taking` without it finishes the take. */
  | { readonly kind: 'taken'; readonly epoch: Epoch }
  /** plain: an armed source that loses power has no RAM left to release. */
  | { readonly kind: 'armed'; readonly grant: Grant }
  /** plain. `aborted`: by order, QEMU may still be ending it; `ended`: QEMU has ended it and runs on; `forfeited`: the destination forfeited, run on. */
  | { readonly kind: 'disarmed'; readonly epoch: Epoch; readonly because: 'aborted' | 'ended' | 'forfeited' }
  /** plain, before the send; post-copy only: after a pre-copy release QEMU itself still shows completed and postmigrate. */
  | { readonly kind: 'released'; readonly epoch: Epoch }
  /** fsync, before the answer. */
  | { readonly kind: 'forfeited'; readonly epoch: Epoch }
  /** fsync, before the answer: every copy under a lower epoch is dead, and nothing below `epoch` is accepted. */
  | { readonly kind: 'destroyed'; readonly epoch: Epoch }
  /** plain: the memory of the held copy is being saved; without `suspended` after it that never was, and the guest goes on. */
  | { readonly kind: 'suspending'; readonly epoch: Epoch }
  /** fsync, after the memory itself: from here on the copy is the memory, and its process never runs again. */
  | { readonly kind: 'suspended'; readonly epoch: Epoch }
  /** plain, after the guest was seen, or made, to run on. */
  | { readonly kind: 'notSuspended'; readonly epoch: Epoch }
  /** fsync, before the answer: no unseen grant up to `floor` is accepted. */
  | { readonly kind: 'census'; readonly floor: Epoch }
  /** fsync, written by compaction: everything before it, in one record. */
  | { readonly kind: 'state'; readonly state: Omit<HostCustody, 'serverId' | 'hostId'> }
  /** fsync: the same, of a server with a memory. By a name of its own: an older agent, to which such a copy is none, must not open the journal and grant beside it. */
  | { readonly kind: 'stateWithMemory'; readonly state: Omit<HostCustody, 'serverId' | 'hostId'> }
  /** plain: a higher fence was obeyed. */
  | { readonly kind: 'fence'; readonly fence: Fence };
