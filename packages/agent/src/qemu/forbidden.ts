import { compareVersions, parseQemuVersion, type QemuVersion } from './qemu-version.ts';

/** What a migration wants to use. Words are QEMU's capability names where there is one. */
export const migrationFeatures = [
  'pre-copy',
  'postcopy-ram',
  'multifd',
  'tls',
  'return-path',
  'zero-copy-send',
  'xbzrle',
  'compress',
  'block',
  'postcopy-preempt',
  'dirty-limit',
  'x-colo',
  'background-snapshot',
  'multifd-compression',
  'pause-before-switchover',
] as const;
export type MigrationFeature = (typeof migrationFeatures)[number];
export type Accelerator = 'tcg' | 'kvm';

/** One combination that corrupts, kills or loses a guest (or that QEMU refuses half-way), and how we know. */
export type ForbiddenRow = {
  readonly id: string;
  /** From this version on; absent: from the first. */
  readonly from?: QemuVersion;
  /** Up to, and without, this version; absent: still so. */
  readonly below?: QemuVersion;
  /** Absent: any. */
  readonly accelerator?: Accelerator;
  /** All of these together … */
  readonly all: readonly MigrationFeature[];
  /** … without this one; absent: whatever else is used. */
  readonly without?: MigrationFeature;
  /** What happens; completes "forbidden because …". */
  readonly reason: string;
  readonly source: string;
};

/** The table. A row is added with the test or report that showed it, never on suspicion alone. */
export const forbiddenTable: readonly ForbiddenRow[] = [
  {
    id: 'tcg-stale-pages',
    below: [9, 0, 0],
    accelerator: 'tcg',
    all: ['pre-copy'],
    reason:
      'pages that the guest writes during the copy can be lost under TCG, and the guest crashes at the destination while QEMU reports success',
    source: 'QEMU commit 03bfc2188f (March 2024, first in 9.0); measured with 7.2: 4 of 5 guests writing 200 MB/s crashed',
  },
  {
    id: 'multifd-postcopy',
    below: [10, 1, 0],
    all: ['multifd', 'postcopy-ram'],
    reason: 'the destination aborts while the source reports success, and the guest is lost',
    source: 'measured with 7.2 and 10.0; the combination is supported from QEMU 10.1',
  },
  {
    id: 'multifd-paused',
    all: ['multifd', 'pause-before-switchover'],
    reason:
      'when the destination dies while the source pauses before the switchover, the source can hang for good, its guest stopped, and nothing but killing it helps',
    source:
      'measured with 10.0.2: 2 to 5 of 12 sources waited in multifd_send_sync_main, their main loop locked; none of 180 whose destination died at other moments; no version is known to be better',
  },
  {
    id: 'postcopy-source-resumes',
    all: ['postcopy-ram'],
    reason: 'when the link breaks near its end, the source runs on by itself beside the guest at the destination',
    source: 'measured with 10.0.2: custody/conformance/postcopy-behaviours.real.test.ts; no version is known to be better',
  },
  {
    id: 'no-return-path',
    all: [],
    without: 'return-path',
    reason:
      'without an answer from the destination the source completes although the destination could not load the guest, and it runs nowhere',
    source: 'measured with 10.0: destination without one of the devices',
  },
  {
    id: 'block',
    all: ['block'],
    reason: 'QEMU’s old in-stream disk copy is deprecated and gone after 9.0; disks are mirrored instead',
    source: 'QEMU removed-features: block migration, 9.1',
  },
  {
    id: 'compress',
    all: ['compress'],
    reason: 'QEMU’s old compression threads are deprecated and gone after 9.0',
    source: 'QEMU removed-features: compression, 9.1',
  },
  {
    id: 'zero-copy-alone',
    all: ['zero-copy-send'],
    without: 'multifd',
    reason: 'QEMU sends without copying only over multifd',
    source: 'QEMU migration/options.c, capability check',
  },
  {
    id: 'zero-copy-tls',
    all: ['zero-copy-send', 'tls'],
    reason: 'QEMU cannot send encrypted pages without copying them',
    source: 'QEMU migration/options.c, capability check',
  },
  {
    id: 'zero-copy-xbzrle',
    all: ['zero-copy-send', 'xbzrle'],
    reason: 'QEMU cannot send delta-encoded pages without copying them',
    source: 'QEMU migration/options.c, capability check',
  },
  {
    id: 'zero-copy-compressed',
    all: ['zero-copy-send', 'multifd-compression'],
    reason: 'QEMU cannot send compressed pages without copying them',
    source: 'QEMU migration/options.c, parameter check',
  },
  {
    id: 'preempt-alone',
    all: ['postcopy-preempt'],
    without: 'postcopy-ram',
    reason: 'the second channel belongs to post-copy',
    source: 'QEMU migration/options.c, capability check',
  },
  {
    id: 'dirty-limit-tcg',
    accelerator: 'tcg',
    all: ['dirty-limit'],
    reason: 'limiting the dirty rate of single vCPUs needs the dirty ring of KVM',
    source: 'QEMU migration/options.c, capability check',
  },
  {
    id: 'colo',
    all: ['x-colo'],
    reason: 'it keeps two running copies of the guest by design, which custody excludes',
    source: 'architecture: custody',
  },
  {
    id: 'background-snapshot',
    all: ['background-snapshot'],
    reason: 'it writes a snapshot of a guest that goes on running at the source: it is no move',
    source: 'QEMU qapi/migration.json',
  },
];

export type Verdict = { readonly allowed: true } | { readonly allowed: false; readonly row: ForbiddenRow; readonly sentence: string };

/**
 * Whether a migration may use these features together. `versions` are those of both sides: a row counts when either is in its range.
 * Throws RangeError for a version that cannot be read: what is unknown is not allowed silently.
 */
export function allowed(features: ReadonlySet<MigrationFeature>, versions: readonly string[], accelerator: Accelerator): Verdict {
  const parsed = versions.map(parseQemuVersion);
  for (const row of forbiddenTable) {
    if (row.accelerator !== undefined && row.accelerator !== accelerator) continue;
    if (!row.all.every((feature) => features.has(feature))) continue;
    if (row.without !== undefined && features.has(row.without)) continue;
    const hit = parsed.find((version) => inRange(version, row));
    if (!hit) continue;
    const what = row.all.length > 0 ? row.all.join(' with ') : 'a migration';
    const lacking = row.without === undefined ? '' : ` without ${row.without}`;
    return {
      allowed: false,
      row,
      sentence: `${what}${lacking} is forbidden with QEMU ${hit.join('.')} under ${accelerator}: ${row.reason}`,
    };
  }
  return { allowed: true };
}

const inRange = (version: QemuVersion, row: ForbiddenRow): boolean =>
  (row.from === undefined || compareVersions(version, row.from) >= 0) &&
  (row.below === undefined || compareVersions(version, row.below) < 0);
