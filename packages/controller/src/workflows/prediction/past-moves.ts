import type { MemoryStream } from '@godwit/domain/memory-stream';
import { type Calibration, calibrate, type Residual } from '@godwit/domain/prediction/calibrate';
import { expectedLinkRate } from '@godwit/domain/prediction/link-rate';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';

/** What earlier moves have shown: the source of every number that a prediction is not given. */
export type PastMoves = {
  readonly calibration: Calibration;
  /** Of a move besides its copy, ms; null: none seen. */
  readonly fixedMs: number | null;
  /** Bytes of memory per second that this stream is expected to carry between these hosts; null: none seen. */
  readonly linkBytesPerSecond: (source: string | null, destination: string | null, stream: MemoryStream) => number | null;
  /** How well memory compresses: this server's when it was moved so last, or of all that were; null: none seen. */
  readonly memoryPerWireByte: (serverId: string) => number | null;
};

/** The newest moves speak for all: links and hosts change. */
const RECENT = 200;
/** Of so many the median of what a move takes besides its copy. */
const NEWEST_FIXED = 10;
/** The same of how well memory compresses. */
const NEWEST_COMPRESSED = 15;
const KEPT_MS = 5_000;
const kept = new WeakMap<Db, { readonly at: number; readonly past: Promise<PastMoves> }>();

/**
 * From the newest completed live migrations. A link is as fast as the better of two readings, while the stream was full and over the whole copy; one that ran into a cap says nothing about it.
 * Up to five seconds old: many moves may ask at once.
 */
export function pastMoves(db: Db): Promise<PastMoves> {
  const known = kept.get(db);
  if (known !== undefined && Date.now() - known.at < KEPT_MS) return known.past;
  const past = read(db);
  kept.set(db, { at: Date.now(), past });
  past.catch(() => kept.delete(db));
  return past;
}

type PastMove = {
  readonly server: string;
  readonly source: string;
  readonly destination: string;
  readonly stream: MemoryStream;
  readonly compression: number;
  readonly rate: number | null;
  readonly cap: number;
  readonly fixed: number | null;
};

async function read(db: Db): Promise<PastMoves> {
  const [moves, scores] = await Promise.all([
    sql<PastMove>`
      select server_id as server, source_host_id as source, destination_host_id as destination, coalesce(memory_stream ->> 'used', 'single') as stream,
        coalesce((measures ->> 'memoryPerWireByte')::float8, 1) as compression,
        greatest((measures ->> 'linkBytesPerSecond')::float8, (measures ->> 'throughputBytesPerSecond')::float8) as rate,
        coalesce((prediction #>> '{inputs,capBytesPerSecond}')::float8, 0) as cap,
        (select sum(value::float8) from jsonb_each_text(phase_durations_ms) where key in ('preparing', 'copying', 'switchover', 'committing'))
          - (measures ->> 'qemuTotalMs')::float8 as fixed
      from migration where type = 'live-migration' and status = 'completed' order by api_id desc limit ${RECENT}`.execute(db),
    db
      .selectFrom('migration')
      .select('prediction_score as score')
      .where('prediction_score', 'is not', null)
      .orderBy('finished_at', 'desc')
      .limit(RECENT)
      .execute(),
  ]);
  const free = moves.rows.flatMap(({ rate, cap, compression, ...move }) =>
    rate === null || rate <= 0 || (cap > 0 && rate > cap * compression * 0.85) ? [] : [{ ...move, bytesPerSecond: rate }],
  );
  const compressed = moves.rows.filter(({ stream }) => stream === 'zstd');
  return {
    calibration: calibrate(scores.flatMap(({ score }) => (score as { readonly residuals: readonly Residual[] }).residuals)),
    fixedMs: median(moves.rows.flatMap(({ fixed }) => (fixed === null || fixed < 0 ? [] : [fixed])).slice(0, NEWEST_FIXED)),
    linkBytesPerSecond: (source, destination, stream) =>
      expectedLinkRate(
        free.filter((move) => move.stream === stream),
        source,
        destination,
      ),
    memoryPerWireByte: (serverId) =>
      compressed.find(({ server }) => server === serverId)?.compression ??
      median(compressed.slice(0, NEWEST_COMPRESSED).map(({ compression }) => compression)),
  };
}

function median(values: readonly number[]): number | null {
  const sorted = values.toSorted((a, b) => a - b);
  return sorted.length === 0 ? null : (sorted[Math.floor((sorted.length - 1) / 2)] ?? null);
}
