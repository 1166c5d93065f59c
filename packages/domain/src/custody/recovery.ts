/** Rule 8: after the database travelled back, the hosts are the truth. What they report is turned into a row again; nothing is granted before. */
import { asEpoch, type Epoch, type HostId } from '../ids.ts';
import type { CustodyRow, Operation, RecoveryOperation, RecoveryReport } from './custody-row.ts';
import type { Grant } from './grant.ts';
import type { HostReport } from './host-effect.ts';
import type { Rules } from './rules.ts';
import { later } from './transition.ts';

/**
 * More epochs than can have been burned for one server in the commits that were lost. Every host promises in the census to accept no unseen grant below the
 * floor, so that a number burned in the lost time is never granted twice.
 */
export const EPOCH_HEADROOM = 1_000_000;

/** Starts (or starts again, higher) the census of `hosts`. */
export function recoveryBegun(row: CustodyRow, hosts: readonly HostId[], above: Epoch = row.epoch): CustodyRow {
  const floor = asEpoch(above + EPOCH_HEADROOM);
  const fenced = row.operation?.kind === 'recovery' && row.operation.fencedThrough !== undefined ? { fencedThrough: floor } : {};
  return {
    ...row,
    epoch: floor,
    behind: false,
    remains: [],
    operation: { kind: 'recovery', floor, waitingFor: hosts, reports: [], ...fenced },
  };
}

/** Takes one host's report; the last one ends the recovery. A host that knows a higher epoch than the floor makes the census start again above it. */
export function recoveryHeard(row: CustodyRow, from: HostId, report: HostReport, rules: Rules): CustodyRow {
  const { operation } = row;
  if (operation?.kind !== 'recovery') return row;
  const hosts = [...operation.waitingFor, ...operation.reports.map(({ hostId }) => hostId)];
  if (report.knownEpoch > operation.floor) return recoveryBegun(row, hosts, report.knownEpoch);
  if (report.floor !== operation.floor || !operation.waitingFor.includes(from)) return row;
  const { bootId, copy, forfeited } = report;
  const next: RecoveryOperation = {
    ...operation,
    waitingFor: rules.recoveryWaits ? operation.waitingFor.filter((host) => host !== from) : [],
    reports: [...operation.reports, { hostId: from, bootId, copy, forfeited, ranThrough: ranThrough(report) }],
  };
  return settled(row, next, rules);
}

/** A fenced host will not report; whatever it has is destroyed when it returns. What it has taken before stays: not having been heard, it may have taken anything. */
export function recoveryWithout(row: CustodyRow, host: HostId, rules: Rules): CustodyRow {
  const { operation } = row;
  if (operation?.kind !== 'recovery') return row;
  const report = operation.reports.find(({ hostId }) => hostId === host);
  if (report === undefined && !operation.waitingFor.includes(host)) return row;
  const through = report === undefined ? operation.floor : later(report.ranThrough ?? asEpoch(0), aboutEpoch(report));
  const next: RecoveryOperation = {
    ...operation,
    waitingFor: operation.waitingFor.filter((one) => one !== host),
    reports: operation.reports.filter((one) => one.hostId !== host),
    fencedThrough: later(operation.fencedThrough ?? through, through),
  };
  return settled(row, next, rules);
}

function settled(row: CustodyRow, recovery: RecoveryOperation, rules: Rules): CustodyRow {
  if (recovery.waitingFor.length > 0) return { ...row, operation: recovery };
  const nowhere: CustodyRow = { ...row, operation: null, holder: { kind: 'nowhere' } };
  const { reports, fencedThrough = asEpoch(0) } = recovery;
  // A guest that has run since has written to its disk, whatever became of it there: loaded now, the memory would damage that. The host that has it proves by its journal that it has not run there.
  const overtaken = ({ suspended, grant, report }: Claim): boolean =>
    suspended === true &&
    rules.overtakenMemoryDropped &&
    [fencedThrough, ...reports.map((other) => (other === report ? asEpoch(0) : (other.ranThrough ?? asEpoch(0))))].some(
      (epoch) => epoch > grant.epoch,
    );
  const newest = reports
    .flatMap(claims)
    .filter((claim) => !overtaken(claim))
    .sort(newestFirst)[0];
  if (newest === undefined) return nowhere;
  const { report, grant, pending, suspended } = newest;
  const { hostId, bootId } = report;
  if (pending === null)
    return { ...nowhere, holder: suspended ? memoryOn(hostId, grant) : { kind: 'host', hostId, epoch: grant.epoch, bootId } };
  if (pending.source === null) {
    const operation = { kind: 'start', grant: pending, step: 'forfeiting' } as const;
    return suspended ? { ...nowhere, operation, holder: memoryOn(hostId, grant) } : { ...nowhere, operation };
  }
  return { ...nowhere, ...moveUndone(row, pending, recovery.reports) };
}

/** Highest epoch under which the guest may have run on this host. */
function ranThrough({ copy, ranThrough: told = asEpoch(0) }: HostReport): Epoch {
  return copy.kind === 'held' || copy.kind === 'released' ? later(told, copy.grant.epoch) : told;
}

/** Of its copy, taken or not. */
const aboutEpoch = ({ copy }: RecoveryReport): Epoch => (copy.kind === 'none' ? asEpoch(0) : copy.grant.epoch);

/** A move that was under way is aborted in the usual order: the source answers first, unless it is fenced; then the destination. */
function moveUndone(row: CustodyRow, grant: Grant, reports: readonly RecoveryReport[]): Pick<CustodyRow, 'holder' | 'operation'> {
  const source = reports.find(({ hostId }) => hostId === grant.source);
  const destination = reports.find(({ hostId }) => hostId === grant.destination);
  if (grant.source === null) return { holder: row.holder, operation: null };
  const operation: Operation = {
    kind: 'move',
    grant,
    step: source === undefined ? 'forfeiting' : 'disarming',
    source: source === undefined ? 'lost' : 'unknown',
    destinationFenced: destination === undefined,
  };
  const bootId = source?.bootId ?? (row.holder.kind === 'host' ? row.holder.bootId : grant.bootId);
  return { holder: { kind: 'host', hostId: grant.source, epoch: grant.previousEpoch, bootId }, operation };
}

/** Of a release and the take that followed it, the take counts. */
const newestFirst = (a: Claim, b: Claim): number => b.epoch - a.epoch || Number(a.pending !== null) - Number(b.pending !== null);

/** What a report claims about the highest epoch it is about: `pending` is a grant that is neither taken nor forfeited as far as this host knows. */
type Claim = {
  readonly epoch: Epoch;
  readonly report: RecoveryReport;
  /** Of the copy; of a resume that is pending: of the memory that it would load. */
  readonly grant: Grant;
  readonly pending: Grant | null;
  /** The copy, or what is left of it when the pending grant is forfeited, is a memory. */
  readonly suspended?: true;
};

const memoryOn = (hostId: HostId, { epoch }: Grant): CustodyRow['holder'] => ({ kind: 'suspended', hostId, epoch });

function claims(report: RecoveryReport): readonly Claim[] {
  const { copy } = report;
  switch (copy.kind) {
    case 'none':
      return [];
    case 'suspended':
      return [{ epoch: copy.grant.epoch, report, grant: copy.grant, pending: null, suspended: true }];
    case 'granted':
      if (copy.memory !== undefined) return [{ epoch: copy.grant.epoch, report, grant: copy.memory, pending: copy.grant, suspended: true }];
      return copy.grant.bootId === report.bootId ? [{ epoch: copy.grant.epoch, report, grant: copy.grant, pending: copy.grant }] : [];
    case 'held': {
      if (!copy.alive) return [];
      const leaving = copy.outgoing?.grant ?? null;
      return [{ epoch: leaving?.epoch ?? copy.grant.epoch, report, grant: copy.grant, pending: leaving }];
    }
    case 'released':
      return copy.alive ? [{ epoch: copy.to.epoch, report, grant: copy.grant, pending: copy.to }] : [];
  }
}
