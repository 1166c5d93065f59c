import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { Grant } from '@godwit/domain/custody/grant';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import type { Epoch } from '@godwit/domain/ids';

/** What a source's account of a move says in custody's words; empty while the attempt goes on there. */
export function sourceMessages(report: MigrationReport, grant: Grant, row: CustodyRow): readonly HostMessage[] {
  const { epoch } = grant;
  switch (report.state) {
    case 'armed':
    case 'copying':
    case 'pre-switchover':
      return [{ kind: 'armed', epoch }];
    case 'released':
      if (grant.migrationId === null || grant.source === null) return [];
      return [
        { kind: 'released', release: { migrationId: grant.migrationId, source: grant.source, destination: grant.destination, epoch } },
      ];
    case 'cancelled':
    case 'failed':
      return guestEnded(report.guestState) ? ended(row, epoch) : [{ kind: 'disarmed', epoch, source: 'runs' }];
    case 'guest-gone':
      return ended(row, epoch);
    case 'lost':
      return [{ kind: 'disarmed', epoch, source: 'lost' }];
    default:
      return [];
  }
}

/** What a destination's account says; empty while it has neither taken nor forfeited. */
export function destinationMessages(report: MigrationReport, epoch: Epoch): readonly HostMessage[] {
  if (report.taken === TakeAnswer.TOOK_DEAD) return [{ kind: 'took', epoch, alive: false }];
  if (report.state === 'running') return [{ kind: 'took', epoch, alive: true }];
  if (report.state === 'forfeited') return [{ kind: 'forfeited', epoch }];
  if (report.taken === TakeAnswer.TOOK_ALIVE) return [{ kind: 'took', epoch, alive: true }];
  return [];
}

function guestEnded(state: GuestState): boolean {
  return state === GuestState.SHUTOFF || state === GuestState.CRASHED;
}

/** The holder's QEMU has ended: never released, so the source's copy is lost, not moved. */
function ended(row: CustodyRow, epoch: Epoch): readonly HostMessage[] {
  return row.holder.kind === 'host' ? [{ kind: 'ended', epoch: row.holder.epoch }] : [{ kind: 'disarmed', epoch, source: 'lost' }];
}
