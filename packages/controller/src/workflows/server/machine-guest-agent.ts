import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { ServerRecord } from './server-record.ts';

/** Whether the machine that runs now has a channel for the QEMU guest agent: what its host has told, not what was asked for; an older agent has built none. */
export const machineHasGuestAgent = (server: Pick<ServerRecord, 'guest_agent' | 'machine_guest_agent'>): boolean =>
  server.machine_guest_agent ?? server.guest_agent;

/** What a report says of it; null: no machine runs there. An agent that does not tell builds none. */
export const toldGuestAgent = ({ state, guestAgent }: Pick<GuestReport, 'state' | 'guestAgent'>): boolean | null =>
  state === GuestState.RUNNING || state === GuestState.PAUSED ? (guestAgent ?? false) : null;
