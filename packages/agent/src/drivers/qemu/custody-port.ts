import type { HostCustody } from '@godwit/domain/custody/host-custody';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import type { HostEvent } from '@godwit/domain/custody/host-event';
import type { ServerId } from '@godwit/domain/ids';
import type { GuestProcess } from '../../qemu/guest-process.ts';

/** A custody event as the driver can form it: the gate itself looks at QEMU, within the same turn, under the server's lock. */
export type CustodyEvent = HostEvent extends infer E ? (E extends HostEvent ? Omit<E, 'view'> : never) : never;

/** What the driver needs of agent/custody: the only code that lets vCPUs run, starts or cancels a stream, or kills a QEMU. */
export type CustodyPort = {
  /** Executes one event with all its effects; what it told. Throws CustodyRefused when the machine refuses (nothing has changed). */
  feed(serverId: ServerId, event: CustodyEvent): Promise<readonly HostMessage[]>;
  /** The process that effects for this server go to from now on. */
  attach(serverId: ServerId, process: GuestProcess): void;
  state(serverId: ServerId): HostCustody;
  servers(): readonly ServerId[];
  /** The first event of an agent's life, for one server: makes the journal agree with the QEMU that is, or is not, attached. What it tells goes to the wiring's `told`. */
  adopt(serverId: ServerId): Promise<void>;
  close(): Promise<void>;
};
