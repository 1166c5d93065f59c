import type { LinkFacts } from '@godwit/domain/drain-plan/time-moves';
import type { HostId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { ResolvedConfig } from '../../config/load-config.ts';
import type { Db } from '../../store/database.ts';

/** Of a link that no move has been seen on: 1 Gbit/s. */
const ASSUMED_BYTES_PER_SECOND = 125_000_000;
const ASSUMED_BLACKOUT_MS = 100;
/** Of a move beside its copy, before any was seen. */
const ASSUMED_FIXED_MS = 1_500;

export type MeasuredLinks = {
  readonly facts: LinkFacts;
  readonly typicalBytesPerSecond: number;
  readonly typicalBlackoutMs: number;
  readonly measured: boolean;
};

/** How fast the migration links are, from the last hundred completed live migrations: the median throughput out of each host, and over all where a host has none. */
export async function measureLinks(db: Db, limits: ResolvedConfig['limits'], parallel: number): Promise<MeasuredLinks> {
  const { rows } = await sql<{ host: HostId | null; rate: number | null; fixed: number | null; blackout: number | null }>`
    with recent as (
      select source_host_id as host, (measures ->> 'throughputBytesPerSecond')::float8 as rate, (measures ->> 'blackoutMs')::float8 as blackout,
        extract(epoch from finished_at - created_at) * 1000 - coalesce((phase_durations_ms ->> 'copying')::float8, 0) - coalesce((phase_durations_ms ->> 'queued')::float8, 0) as fixed
      from migration where type = 'live-migration' and status = 'completed' order by api_id desc limit 100
    )
    select host, percentile_cont(0.5) within group (order by rate) filter (where rate > 0) as rate, percentile_cont(0.5) within group (order by fixed) as fixed,
      percentile_cont(0.5) within group (order by blackout) as blackout
    from recent group by grouping sets ((host), ())`.execute(db);
  const overall = rows.find((row) => row.host === null);
  const typical = overall?.rate ?? ASSUMED_BYTES_PER_SECOND;
  const byHost = new Map(rows.flatMap((row) => (row.host === null || row.rate === null ? [] : [[row.host, row.rate] as const])));
  return {
    facts: {
      parallel,
      outgoingPerHost: limits.outgoingPerHost,
      incomingPerHost: limits.incomingPerHost,
      bytesPerSecond: (host) => byHost.get(host) ?? typical,
      fixedMs: Math.max(0, Math.round(overall?.fixed ?? ASSUMED_FIXED_MS)),
    },
    typicalBytesPerSecond: Math.round(typical),
    typicalBlackoutMs: Math.max(0, Math.round(overall?.blackout ?? ASSUMED_BLACKOUT_MS)),
    measured: overall?.rate !== null && overall !== undefined,
  };
}
