import { create } from '@bufbuild/protobuf';
import { type MigrationPolicy, MigrationPolicySchema } from '@godwit/contract/gen/migration_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { ChosenStream, MemoryStream } from '@godwit/domain/memory-stream';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { Move } from './move.ts';
import { streamOfMove } from './stream-of-move.ts';

export type PeerAddress = { readonly hostId: string; readonly address: string; readonly rpcPort: number };

/** What a move's hosts and disks say about its copy. */
export type CopyTerms = {
  /** Where an agent finds its peer, and who that must prove to be. */
  readonly source: PeerAddress;
  readonly destination: PeerAddress | null;
  /** Bytes per second; 0: no cap. The least of the move's own cap and those of both hosts' links. */
  readonly capBytesPerSecond: number;
  /** The disks that have to be copied, in the guest's order. */
  readonly localDiskIds: readonly string[];
  /** How memory is sent: decided by what the hosts said when the move was prepared. */
  readonly stream: ChosenStream;
};

export async function copyTerms(db: Db, move: Move): Promise<CopyTerms> {
  const copies = move.block_migration !== 'false';
  const rows = await db
    .selectFrom('host')
    .select(['id as hostId', 'address', 'rpc_port as rpcPort', 'migration_bandwidth_bytes as cap'])
    .select(
      sql<readonly string[] | null>`(select json_agg(d.id order by d.device_index) from disk d
        where ${copies} and d.server_id = ${move.serverId} and d.storage = 'local')`.as('disks'),
    )
    .where('id', 'in', [move.source, move.destination_host_id ?? move.source])
    .execute();
  const peer = (id: string | null): PeerAddress | null => {
    const host = rows.find(({ hostId }) => hostId === id);
    return host === undefined ? null : { hostId: host.hostId, address: host.address, rpcPort: host.rpcPort };
  };
  const source = peer(move.source);
  if (source === null) throw new GodwitError('HostNotFound', `Compute host ${move.source} could not be found.`);
  const localDiskIds = rows[0]?.disks ?? [];
  return {
    source,
    destination: peer(move.destination_host_id),
    stream:
      move.memory_stream ??
      (await streamOfMove(db, {
        serverId: move.serverId,
        source: move.source,
        destination: move.destination_host_id,
        asked: askedStream(move),
        copiesDisks: localDiskIds.length > 0,
      })),
    capBytesPerSecond: leastCap([move.max_bandwidth_bytes, ...rows.map(({ cap }) => cap)]),
    localDiskIds,
  };
}

/** What the agents are told of what the move may cost. A record older than policies is not steered: 30 ms, no deadline. */
export function wirePolicy({ config }: Pick<WorkflowContext, 'config'>, move: Move, terms: CopyTerms): MigrationPolicy {
  const { policy } = move;
  const localDiskIds = [...terms.localDiskIds];
  return create(MigrationPolicySchema, {
    maxBandwidthBytes: BigInt(terms.capBytesPerSecond),
    blockMigration: localDiskIds.length > 0,
    localDiskIds,
    diskOverCommit: move.disk_over_commit,
    networkSwitch: config.networkSwitch ?? true,
    deadlineMs: BigInt(policy.deadlineMs ?? 0),
    largestBlackoutMs: BigInt(policy.largestBlackoutMs ?? 0),
    slowDownPercent: policy.slowDownPercent ?? 0,
    pauseWhenNotConverging: policy.whenNotConverging === 'pause',
    forceComplete: move.force_requested_at !== null,
    memoryStream: terms.stream.used,
  });
}

/** A record older than streams asked for none. */
export const askedStream = ({ policy }: Pick<Move, 'policy'>): MemoryStream => policy.memoryStream ?? 'single';

/** The same cap before there is a record. */
export async function allowedBandwidth(
  db: Db,
  move: Pick<Move, 'source_host_id' | 'destination_host_id' | 'max_bandwidth_bytes'>,
): Promise<number> {
  const hosts = [move.source_host_id, move.destination_host_id].filter((id) => id !== null);
  const links =
    hosts.length === 0 ? [] : await db.selectFrom('host').select('migration_bandwidth_bytes as cap').where('id', 'in', hosts).execute();
  return leastCap([move.max_bandwidth_bytes, ...links.map(({ cap }) => cap)]);
}

function leastCap(all: readonly (number | null)[]): number {
  const caps = all.filter((cap) => cap !== null);
  return caps.length === 0 ? 0 : Math.min(...caps);
}
