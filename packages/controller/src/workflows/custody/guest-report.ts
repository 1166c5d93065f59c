import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { Grant } from '@godwit/domain/custody/grant';
import type { HostReport } from '@godwit/domain/custody/host-effect';
import { as, asEpoch, asFence, type BootId, type Epoch, type HostId } from '@godwit/domain/ids';

/** The epoch that the copy in a report runs, or ran, under. */
export function copyEpoch(guest: GuestReport): Epoch {
  return asEpoch(Number(guest.copyEpoch === 0n ? guest.epoch : guest.copyEpoch));
}

/** What a host's word about one guest (null: it has none) says in custody's terms. */
export function custodyReport(row: CustodyRow, host: HostId, bootId: string, guest: GuestReport | null): HostReport {
  const known = asEpoch(guest === null ? row.epoch : Number(guest.epoch));
  const epoch = guest === null ? row.epoch : copyEpoch(guest);
  const alive = guest !== null && guest.state !== GuestState.SHUTOFF && guest.state !== GuestState.CRASHED;
  const grant: Grant = {
    serverId: row.serverId,
    migrationId: null,
    source: null,
    destination: host,
    epoch,
    previousEpoch: epoch,
    fence: asFence(0),
    endState: 'running',
    bootId: as<BootId>(bootId),
    postCopy: false,
  };
  return {
    kind: 'report',
    bootId: as<BootId>(bootId),
    knownEpoch: known,
    knownFence: asFence(0),
    refusedThrough: asEpoch(0),
    forfeited: null,
    copy:
      guest === null
        ? { kind: 'none' }
        : { kind: 'held', grant, process: { pid: guest.pid, startTicks: 0 }, alive, settled: true, outgoing: null },
    floor: null,
  };
}
