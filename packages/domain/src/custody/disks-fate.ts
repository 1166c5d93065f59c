import type { HostId, MigrationId } from '../ids.ts';
import type { ControllerEvent } from './controller-event.ts';
import type { CustodyRow } from './custody-row.ts';
import { RULES, type Rules } from './rules.ts';

/**
 * What a step of custody says of disks that exist at one host alone. `leftover`: what this move has copied there was never run with, and its host has not removed it: it may be deleted once the guest is seen
 * to live elsewhere. `kept`: the guest has run with what is there, or may have: nothing that moves have left at that host is deleted any more for their sake.
 */
export type DisksFate =
  | { readonly kind: 'leftover'; readonly hostId: HostId; readonly migrationId: MigrationId }
  | { readonly kind: 'kept'; readonly hostId: HostId };

/**
 * Null: nothing new. Decided by the very step that ends the move, and written with it: noted earlier, while nobody has heard the source yet, it would name the disks of a guest that the source has released meanwhile; the source
 * tells the destination first.
 */
export function disksFate(before: CustodyRow, event: ControllerEvent, after: CustodyRow, rules: Rules = RULES): DisksFate | null {
  if (event.kind === 'heard' && event.message.kind === 'took') return { kind: 'kept', hostId: event.from };
  const { operation } = before;
  if (operation === null || after.operation !== null) return null;
  // Who forfeits has run nothing, and removes what was prepared.
  const forfeited = event.kind === 'heard' && event.message.kind === 'forfeited';
  if (operation.kind === 'start') return forfeited ? null : { kind: 'kept', hostId: operation.grant.destination };
  if (operation.kind !== 'move') return null;
  const { source, destination, migrationId } = operation.grant;
  const stays = after.holder.kind !== 'nowhere' && after.holder.hostId === source;
  if (!stays && rules.ranDisksKept) return { kind: 'kept', hostId: destination };
  return forfeited || operation.step === 'resuming' || migrationId === null ? null : { kind: 'leftover', hostId: destination, migrationId };
}
