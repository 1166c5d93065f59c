import type { Selectable } from 'kysely';
import type { MigrationTable } from '../../store/core-tables.ts';
import { type Queued, queuePosition } from '../../workflows/live-migrate/queue.ts';

export type MigrationRow = Selectable<MigrationTable> & {
  readonly source_name: string | null;
  readonly destination_name: string | null;
  readonly server_name: string;
};

/** The whole record of one move. Times are ISO 8601 UTC, sizes bytes, durations milliseconds; null where it is not known (yet). */
export function migrationView(row: MigrationRow, queue: readonly Queued[]) {
  return {
    ...migrationSummary(row, queue),
    userId: row.user_id,
    projectId: row.project_id,
    requestId: row.request_id,
    requestedHost: row.requested_host,
    blockMigration: row.block_migration,
    policy: row.policy,
    maxBandwidthBytes: row.max_bandwidth_bytes,
    memoryStream: row.memory_stream,
    attempts: row.attempts,
    prediction: row.prediction,
    predictionScore: row.prediction_score,
    previousVmState: row.previous_vm_state,
    epochFrom: row.epoch_from,
    epochTo: row.epoch_to,
    endState: row.grant_end_state,
    timeline: row.timeline,
    verdicts: row.verdicts,
  };
}

/** What a list shows of each move. */
export function migrationSummary(row: MigrationRow, queue: readonly Queued[]) {
  const host = (id: string | null, name: string | null) => (id === null ? null : { id, name });
  return {
    id: row.id,
    apiId: row.api_id,
    serverId: row.server_id,
    serverName: row.server_name,
    type: row.type,
    status: row.status,
    phase: row.phase,
    queuePosition: queuePosition(queue, row.id),
    source: host(row.source_host_id, row.source_name),
    destination: host(row.destination_host_id, row.destination_name),
    memory: { totalBytes: row.memory_total_bytes, processedBytes: row.memory_processed_bytes, remainingBytes: row.memory_remaining_bytes },
    disk: { totalBytes: row.disk_total_bytes, processedBytes: row.disk_processed_bytes, remainingBytes: row.disk_remaining_bytes },
    measures: {
      blackoutMs: null,
      clockErrorMs: null,
      qemuDowntimeMs: null,
      ownShareMs: null,
      qemuTotalMs: null,
      rounds: null,
      dirtyRateBytesPerSecond: null,
      throughputBytesPerSecond: null,
      ...row.measures,
    },
    phaseDurationsMs: row.phase_durations_ms,
    // While a move is being undone its cause is known already; where the guest will be is not.
    outcome:
      row.outcome === null
        ? null
        : { cause: row.outcome.cause, sentence: row.outcome.sentence, runsOn: row.outcome.runsOn, evidence: row.outcome.evidence },
    forceRequestedAt: row.force_requested_at?.toISOString() ?? null,
    abortRequestedAt: row.abort_requested_at?.toISOString() ?? null,
    createdAt: row.created_at.toISOString(),
    updatedAt: row.updated_at?.toISOString() ?? null,
    finishedAt: row.finished_at?.toISOString() ?? null,
  };
}
