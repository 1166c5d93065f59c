import type { GuestReport } from '@godwit/contract/gen/guest_pb';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { HostReport } from '@godwit/domain/custody/host-effect';
import { as, asEpoch, asFence, type BootId, type Epoch } from '@godwit/domain/ids';

/** The epoch that the copy in a report runs, or ran, under. */
export function copyEpoch(guest: GuestReport): Epoch {
  return asEpoch(Number(guest.copyEpoch === 0n ? guest.epoch : guest.copyEpoch));
}

/**
 * A host's word about one server, in custody's own terms: what its journal says, not a guess from the guest's state. A released or incoming copy is not a held one, and a
 * host that has only heard of an older epoch knows nothing of the one in force.
 *
 * `guest` null: its listing does not mention the server. In the boot that the holder was granted in, that proves nothing: the listing may have been made before a start
 * and be read after it, and taking it for the end of the copy would let a second one start. In another boot no process of the holder's can be left, whatever is mentioned.
 */
export function custodyReport(row: CustodyRow, bootId: string, guest: GuestReport | null): HostReport {
  if (guest !== null && guest.custodyJson !== '') return JSON.parse(guest.custodyJson) as HostReport;
  const rebooted = row.holder.kind === 'host' && row.holder.bootId !== bootId;
  return {
    kind: 'report',
    bootId: as<BootId>(bootId),
    knownEpoch: rebooted ? row.epoch : asEpoch(0),
    knownFence: asFence(0),
    refusedThrough: asEpoch(0),
    forfeited: null,
    copy: { kind: 'none' },
    floor: null,
  };
}
