import type { BootId, Epoch, Fence, HostId, MigrationId } from '../ids.ts';
import type { EndState } from './grant.ts';
import type { HostMessage } from './host-effect.ts';
import type { HostCommand, Release } from './host-event.ts';
import type { Refusal } from './refusal.ts';

/** What the executor in charge of a server feeds into `controllerStep`. `fence` is the executor's own. */
export type ControllerEvent =
  | {
      readonly kind: 'beginMove';
      readonly fence: Fence;
      readonly migrationId: MigrationId;
      readonly destination: HostId;
      /** The boot that the destination says it is in. */
      readonly bootId: BootId;
      /** Whether an operator's word that the destination is fenced stands, read with the row. */
      readonly fenced: boolean;
      readonly endState: EndState;
      readonly postCopy: boolean;
    }
  | {
      readonly kind: 'beginStart';
      readonly fence: Fence;
      readonly destination: HostId;
      readonly bootId: BootId;
      readonly fenced: boolean;
      readonly endState: EndState;
      /** Resume: load the memory that was saved under this epoch. Absent: start from the disk. */
      readonly memory?: Epoch;
    }
  /** The user, a deadline or a failed preparation gives the operation up. Decides nothing that a host has already decided. */
  | { readonly kind: 'abort'; readonly fence: Fence }
  /** Server delete, forced stop, hard reboot's first half, the end of a saved memory that nobody wants any more: burns an epoch granted to nobody and destroys every copy below it. */
  | { readonly kind: 'destroy'; readonly fence: Fence }
  /** A message of a host, authenticated as that host. */
  | { readonly kind: 'heard'; readonly fence: Fence; readonly from: HostId; readonly message: HostMessage }
  /**
   * A host has listed what it has, and this server is not there. In the boot that the holder was granted in that proves nothing: the listing may have been made before a start and be read after it.
   * `bootId`: the boot that the host says it is in, asked after the row was read; `listed`: that of the listing, which may be of a boot before the holder's.
   */
  | { readonly kind: 'absent'; readonly fence: Fence; readonly from: HostId; readonly listed: BootId; readonly bootId: BootId }
  /**
   * The host cannot run or reach anything any more: powered off, or cut off from disks and network (then its guests may still execute, and it must
   * be compared by a report before it is let back). Never merely "does not answer".
   */
  | { readonly kind: 'fenced'; readonly fence: Fence; readonly hostId: HostId }
  /** Another executor takes over; `fence` is the new one's, from the database. */
  | { readonly kind: 'takeOver'; readonly fence: Fence }
  /** The database was restored or failed over without its last commits (rule 8). `hosts` is every host that could hold the server. */
  | { readonly kind: 'restored'; readonly fence: Fence; readonly hosts: readonly HostId[] };

/** Orders to send, in order, after the row has been written; the same again whenever an answer does not come. */
export type ControllerEffect =
  | { readonly kind: 'command'; readonly to: HostId; readonly command: ControllerCommand }
  | { readonly kind: 'relay'; readonly to: HostId; readonly release: Release }
  | { readonly kind: 'refuse'; readonly refusal: Refusal };

/** A host command as the controller can form it: what a look at QEMU shows is added by the host's gate. */
export type ControllerCommand = WithoutView<HostCommand>;
type WithoutView<C> = C extends unknown ? Omit<C, 'view'> : never;
