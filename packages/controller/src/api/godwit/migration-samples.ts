import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { MigrationRow } from './migration-view.ts';

/** What one progress report of a move said. `at` is ISO 8601 UTC by the controller's clock. */
export type MigrationSample = {
  readonly at: string;
  readonly remainingBytes: number;
  readonly dirtyBytesPerSecond: number;
  readonly sentBytesPerSecond: number;
};

/** More than a chart has pixels for; above it every n-th is left out, the last one never. */
const most = 2_000;
/** QEMU counts dirty memory in pages of the guest, x86-64. */
const pageBytes = 4_096;

/**
 * The progress reports of a move, oldest first, from the events that told them: a page that is opened late draws the same chart as one that watched. Events are kept for a day,
 * and so are these.
 */
export async function migrationSamples(
  db: Db,
  row: Pick<MigrationRow, 'id' | 'created_at' | 'finished_at'>,
): Promise<readonly MigrationSample[]> {
  type Told = {
    readonly at: Date;
    readonly ram: number;
    readonly disk: number | null;
    readonly dirty: number | null;
    readonly mbps: number | null;
  };
  // Bounded by time as well: that is what events have an index for.
  const { rows } = await sql<Told>`
    select at, (data->'admin'->>'memory_remaining_bytes')::float8 as ram, (data->'admin'->>'disk_remaining_bytes')::float8 as disk,
      coalesce((data->'admin'->>'dirtyRateBytesPerSecond')::float8, (data->'admin'->>'dirtyPagesRate')::float8 * ${pageBytes}) as dirty,
      (data->'admin'->>'mbps')::float8 as mbps
    from event
    where at between ${row.created_at}::timestamptz and coalesce(${row.finished_at}::timestamptz, now()) + interval '1 minute'
      and kind = 'migration' and subject_id = ${row.id} and data->'admin' ? 'memory_remaining_bytes'
    order by id`.execute(db);
  const step = Math.max(1, Math.ceil(rows.length / most));
  return rows
    .filter((_, index) => index % step === 0 || index === rows.length - 1)
    .map((told) => ({
      at: told.at.toISOString(),
      remainingBytes: told.ram + (told.disk ?? 0),
      dirtyBytesPerSecond: told.dirty ?? 0,
      sentBytesPerSecond: Math.round(((told.mbps ?? 0) * 1e6) / 8),
    }));
}
