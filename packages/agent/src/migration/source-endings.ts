import type { MigrationCause } from '@godwit/domain/migration';
import type { MigrationReport, SourceState } from '../drivers/migration-report.ts';
import { type GuestFact, standsStill } from '../qemu/guest-fact.ts';

/** Why we end a move, when it is we who end it. */
export type Ending = { readonly cause: MigrationCause; readonly detail: string };

/** What a fact about the source's guest means for its move: an end, a look at QEMU (it died), or nothing. */
export function endingFor(fact: GuestFact): Ending | 'look' | null {
  switch (fact.kind) {
    case 'powered-off':
      return {
        cause: 'GuestPoweredOff',
        detail: fact.byGuest ? 'the guest powered itself off during the move' : 'the guest was powered off during the move',
      };
    case 'panicked':
      return { cause: 'GuestCrashed', detail: `the guest's kernel panicked during the move (${fact.detail})` };
    case 'io-error':
      return { cause: 'GuestDiskError', detail: standsStill(fact) };
    case 'broken':
      return { cause: 'GuestCrashed', detail: fact.detail };
    case 'died':
      return 'look';
    default:
      return null;
  }
}

/** The guest itself has ended the move: it has ended, or stands still until its disk has room. */
export const isGuestsOwn = ({ cause }: Ending): boolean =>
  cause === 'GuestPoweredOff' || cause === 'GuestCrashed' || cause === 'GuestDiskError';

/** How a move ends whose guest is still the source's. */
export function endedAs(
  ending: Ending | null,
  endState: 'running' | 'paused',
): { readonly state: Extract<SourceState, 'cancelled' | 'failed' | 'guest-gone'>; readonly guestState: MigrationReport['guestState'] } {
  switch (ending?.cause) {
    case 'CancelledByOperator':
      return { state: 'cancelled', guestState: endState };
    case 'GuestPoweredOff':
      return { state: 'guest-gone', guestState: 'shutoff' };
    case 'GuestCrashed':
      return { state: 'guest-gone', guestState: 'crashed' };
    case 'GuestDiskError':
      // Its QEMU lives, and has the write that found no room: nothing is lost.
      return { state: 'failed', guestState: 'io-error' };
    default:
      return { state: 'failed', guestState: endState };
  }
}
