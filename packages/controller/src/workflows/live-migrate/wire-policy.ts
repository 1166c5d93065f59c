import { create } from '@bufbuild/protobuf';
import { type MigrationPolicy, MigrationPolicySchema } from '@godwit/contract/gen/migration_pb';
import type { Db } from '../../store/database.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

/** What the agents are told of what the move may cost. A record older than policies is not steered: 30 ms, no deadline. */
export async function wirePolicy({ config, db }: Pick<WorkflowContext, 'config' | 'db'>, move: Move): Promise<MigrationPolicy> {
  const { policy } = move;
  const localDiskIds = move.block_migration === 'false' ? [] : await localDisks(db, move);
  return create(MigrationPolicySchema, {
    maxBandwidthBytes: BigInt(await allowedBandwidth(db, move)),
    blockMigration: localDiskIds.length > 0,
    localDiskIds,
    diskOverCommit: move.disk_over_commit,
    networkSwitch: config.networkSwitch ?? true,
    deadlineMs: BigInt(policy.deadlineMs ?? 0),
    largestBlackoutMs: BigInt(policy.largestBlackoutMs ?? 0),
    slowDownPercent: policy.slowDownPercent ?? 0,
    pauseWhenNotConverging: policy.whenNotConverging === 'pause',
    forceComplete: move.force_requested_at !== null,
  });
}

/** The disks that have to be copied, in the guest's order. */
async function localDisks(db: Db, move: Pick<Move, 'serverId'>): Promise<string[]> {
  const disks = await db
    .selectFrom('disk')
    .select('id')
    .where('server_id', '=', move.serverId)
    .where('storage', '=', 'local')
    .orderBy('device_index')
    .execute();
  return disks.map(({ id }) => id);
}

/** Bytes per second; 0: no cap. The least of the move's own cap and those of both hosts' links. */
export async function allowedBandwidth(
  db: Db,
  move: Pick<Move, 'source_host_id' | 'destination_host_id' | 'max_bandwidth_bytes'>,
): Promise<number> {
  const hosts = [move.source_host_id, move.destination_host_id].filter((id) => id !== null);
  const links =
    hosts.length === 0 ? [] : await db.selectFrom('host').select('migration_bandwidth_bytes as cap').where('id', 'in', hosts).execute();
  const caps = [move.max_bandwidth_bytes, ...links.map(({ cap }) => cap)].filter((cap) => cap !== null);
  return caps.length === 0 ? 0 : Math.min(...caps);
}
