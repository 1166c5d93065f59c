import { create } from '@bufbuild/protobuf';
import { type MigrationPolicy, MigrationPolicySchema } from '@godwit/contract/gen/migration_pb';
import type { Db } from '../../store/database.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';

/** What the agents are told of what the move may cost. A record older than policies is not steered: 30 ms, no deadline. */
export async function wirePolicy({ config, db }: Pick<WorkflowContext, 'config' | 'db'>, move: Move): Promise<MigrationPolicy> {
  const { policy } = move;
  return create(MigrationPolicySchema, {
    maxBandwidthBytes: BigInt(await allowedBandwidth(db, move)),
    blockMigration: false,
    networkSwitch: config.networkSwitch ?? true,
    postCopyAllowed: false,
    deadlineMs: BigInt(policy.deadlineMs ?? 0),
    largestBlackoutMs: BigInt(policy.largestBlackoutMs ?? 0),
    slowDownPercent: policy.slowDownPercent ?? 0,
    pauseWhenNotConverging: policy.whenNotConverging === 'pause',
    forceComplete: move.force_requested_at !== null,
  });
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
