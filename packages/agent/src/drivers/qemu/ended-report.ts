import { isTerminal } from '../../migration/migration-record.ts';
import type { StoredMigration } from '../../migration/migration-store.ts';
import type { MigrationReport } from '../migration-report.ts';
import type { QemuHost } from './qemu-host.ts';

/** The account of a move that ended while no agent looked: its end, as far as custody and QEMU still show it. */
export function endedReport(host: QemuHost, one: StoredMigration): MigrationReport {
  const { report, grant } = one;
  const { copy } = host.custody.state(grant.serverId);
  const alive = host.guests.process(grant.serverId) !== null;
  const why = "the move ended while this host's agent was away";
  // Also of a move that had succeeded, as long as nobody has heard of it: the guest is gone since.
  if (one.role === 'destination' && !alive && copy.kind === 'held' && copy.grant.epoch === grant.epoch)
    return {
      ...report,
      state: 'running',
      taken: 'took-dead',
      cause: 'GuestCrashedOnArrival',
      detail: why,
      guestState: report.guestState === 'shutoff' ? 'shutoff' : 'crashed',
    };
  if (isTerminal(report.state)) return report;
  if (one.role === 'source')
    return {
      ...report,
      state: alive ? 'failed' : 'lost',
      cause: alive ? 'StreamFailed' : 'SourceDied',
      detail: why,
      guestState: alive ? 'running' : 'crashed',
    };
  return {
    ...report,
    state: copy.kind === 'granted' ? 'died' : 'forfeited',
    cause: copy.kind === 'granted' ? 'DestinationDied' : null,
    detail: why,
    guestState: 'crashed',
  };
}

/** Whether a stored move is about the copy that lives here now, and not an earlier one of the same guest. */
export function concerns(host: QemuHost, one: StoredMigration): boolean {
  const { copy } = host.custody.state(one.grant.serverId);
  if (one.role === 'destination') return copy.kind !== 'none' && copy.grant.epoch === one.grant.epoch;
  return (
    (copy.kind === 'held' && copy.outgoing?.grant.epoch === one.grant.epoch) ||
    (copy.kind === 'released' && copy.to.epoch === one.grant.epoch)
  );
}
