import type { BootId, Epoch, Fence, HostId, ServerId } from '../ids.ts';
import type { Copy } from './host-custody.ts';
import type { Release } from './host-event.ts';
import type { JournalRecord } from './journal-record.ts';
import type { QemuProcess } from './qemu-view.ts';
import type { Refusal } from './refusal.ts';

/**
 * What the gate must do, strictly in this order, each finished before the next begins. If one fails the rest is dropped and the machine is rebuilt from
 * the journal (`recover`, then `adopt`), exactly as after a death of the agent: there is no second path for errors.
 */
export type HostEffect =
  /** `fsync` survives a power loss, `plain` the death of the agent. */
  | { readonly kind: 'journal'; readonly record: JournalRecord; readonly durability: 'plain' | 'fsync' }
  | { readonly kind: 'cont' }
  | { readonly kind: 'stop' }
  | { readonly kind: 'reset' }
  | { readonly kind: 'powerDown' }
  /** Let QEMU flush and end; SIGKILL when it does not. Only for the copy that holds. */
  | { readonly kind: 'quit'; readonly process: QemuProcess }
  | { readonly kind: 'migrate'; readonly epoch: Epoch }
  /** Begin to write the guest's memory to the file of this epoch. The guest runs on until QEMU has all but the rest of it. */
  | { readonly kind: 'saveMemory'; readonly epoch: Epoch }
  /** The file of this epoch, whole as QEMU left it, survives a power loss when this returns. */
  | { readonly kind: 'syncMemory'; readonly epoch: Epoch }
  | { readonly kind: 'continueMigration' }
  | { readonly kind: 'cancel' }
  /** SIGKILL and wait until the process is a zombie or gone; null: whatever QEMU of this server is found. Never quit or SIGTERM: those flush. */
  | { readonly kind: 'kill'; readonly process: QemuProcess | null }
  | { readonly kind: 'send'; readonly to: HostId; readonly message: PeerMessage }
  /** The answer to the command, or news for the controller; at least once, in any order. */
  | { readonly kind: 'tell'; readonly message: HostMessage };

/** From host to host. */
export type PeerMessage =
  | { readonly kind: 'release'; readonly release: Release }
  | { readonly kind: 'postCopyReady'; readonly serverId: ServerId; readonly epoch: Epoch };

/** From a host to the controller. */
export type HostMessage =
  | { readonly kind: 'granted'; readonly epoch: Epoch }
  | { readonly kind: 'armed'; readonly epoch: Epoch }
  | { readonly kind: 'released'; readonly release: Release }
  /**
   * The attempt has ended at the source. `runs`: never released, and the source holds the guest as before. `completed`: QEMU stands in postmigrate and the
   * release has been sent; RAM may be resumed after a forfeit. `lost`: the source has no live copy and cannot tell whether it released.
   */
  | { readonly kind: 'disarmed'; readonly epoch: Epoch; readonly source: 'runs' | 'completed' | 'lost' }
  | { readonly kind: 'took'; readonly epoch: Epoch; readonly alive: boolean }
  | { readonly kind: 'forfeited'; readonly epoch: Epoch }
  /** It may have taken and cannot prove the opposite. With another boot id than the grant's, its QEMU is dead for certain. */
  | { readonly kind: 'unknown'; readonly epoch: Epoch; readonly bootId: BootId }
  | { readonly kind: 'resumed'; readonly epoch: Epoch; readonly forfeited: Epoch }
  | { readonly kind: 'destroyed'; readonly epoch: Epoch }
  /** The guest runs nowhere, and its memory under this epoch is durably here. */
  | { readonly kind: 'suspended'; readonly epoch: Epoch }
  /** Its memory could not be saved, or not be made durable: the guest goes on under this epoch, and nothing of it is kept. */
  | { readonly kind: 'notSuspended'; readonly epoch: Epoch }
  /** A held or released copy's QEMU has died or ended. */
  | { readonly kind: 'ended'; readonly epoch: Epoch }
  | {
      readonly kind: 'done';
      readonly command: 'launch' | 'migrate' | 'continue' | 'suspend' | 'pause' | 'unpause' | 'reset' | 'powerDown';
      readonly epoch: Epoch;
    }
  | HostReport
  | { readonly kind: 'refused'; readonly refusal: Refusal };

/** Everything a host knows: at every agent start, on demand, and in answer to a census. */
export type HostReport = {
  readonly kind: 'report';
  readonly bootId: BootId;
  readonly knownEpoch: Epoch;
  readonly knownFence: Fence;
  readonly refusedThrough: Epoch;
  readonly forfeited: Epoch | null;
  /** Highest epoch under which the guest may have run here; absent: from an agent that did not tell it yet. */
  readonly ranThrough?: Epoch;
  readonly copy: Copy;
  /** Floor of the census that this answers; null when unasked. */
  readonly floor: Epoch | null;
};
