import type { Prediction } from '@godwit/domain/prediction/predict';
import { isPastRelease, type Overdue, overdue, type UsualMs } from '@godwit/domain/stuck/overdue';
import { type Selectable, sql } from 'kysely';
import type { MigrationTable } from '../store/core-tables.ts';
import type { Db } from '../store/database.ts';
import { nothingToCall, type Problem, type SafeAction } from './problem.ts';

/** How long each phase took in nine and a half of ten of the last two hundred completed moves, ms. */
export async function usualPhases(db: Db): Promise<UsualMs> {
  const { rows } = await sql<{ phase: string; usual: number }>`
    select key as phase, percentile_cont(0.95) within group (order by value::float8) as usual
    from (select phase_durations_ms from migration where status in ('completed', 'confirmed') order by api_id desc limit 200) as recent, jsonb_each_text(phase_durations_ms)
    group by key`.execute(db);
  return Object.fromEntries(rows.map(({ phase, usual }) => [phase, usual]));
}

/** Whether an open move has been in its phase for much longer than usual. */
export function lateness(
  row: Pick<Selectable<MigrationTable>, 'phase' | 'timeline' | 'created_at' | 'finished_at' | 'prediction'>,
  usual: UsualMs,
  nowMs: number,
): Overdue | null {
  if (row.finished_at !== null) return null;
  const begun = row.timeline.findLast((entry) => entry.clock === 'controller' && entry.what === 'phase' && entry.detail === row.phase)?.at;
  const predictedMs = (row.prediction as Prediction | null)?.durationMs?.upper ?? null;
  return overdue(row.phase, nowMs - (begun ?? row.created_at.getTime()), usual, predictedMs);
}

export async function lateMigrations(db: Db): Promise<readonly Problem[]> {
  const [usual, rows] = await Promise.all([
    usualPhases(db),
    db
      .selectFrom('migration')
      .innerJoin('server', 'server.id', 'migration.server_id')
      .leftJoin('host as source', 'source.id', 'migration.source_host_id')
      .leftJoin('host as destination', 'destination.id', 'migration.destination_host_id')
      .selectAll('migration')
      .select(['server.name as server_name', 'source.name as source', 'source.reachable as source_heard'])
      .select(['destination.name as destination', 'destination.reachable as destination_heard'])
      .where('migration.finished_at', 'is', null)
      .orderBy('migration.api_id')
      .execute(),
  ]);
  const nowMs = Date.now();
  return rows.flatMap((row): Problem[] => {
    const late = lateness(row, usual, nowMs);
    if (late === null) return [];
    const silent = [row.source_heard === false ? row.source : null, row.destination_heard === false ? row.destination : null].filter(
      (name) => name !== null,
    );
    return [
      {
        kind: 'late-migration',
        subject: { type: 'migration', id: row.id, name: row.server_name },
        sentence: `The migration of ${row.server_name} has been ${late.phase} for ${seconds(late.ageMs)}${late.usualMs === null ? '' : `; usual is up to ${seconds(late.usualMs)}`}.`,
        evidence: [
          `phase ${late.phase}, status ${row.status}, from ${row.source ?? 'nowhere'} to ${row.destination ?? 'no host yet'}`,
          ...(row.memory_remaining_bytes === null ? [] : [`${row.memory_remaining_bytes} bytes of memory left`]),
          ...(row.updated_at === null ? [] : [`last news ${seconds(nowMs - row.updated_at.getTime())} ago`]),
          ...silent.map((name) => `host ${name} is not heard from`),
        ],
        since: new Date(nowMs - late.ageMs).toISOString(),
        action: actionFor(row, silent),
      },
    ];
  });
}

function actionFor(row: Selectable<MigrationTable>, silent: readonly string[]): SafeAction {
  if (silent.length > 0)
    return nothingToCall(`Wait for ${silent.join(' and ')}, or confirm that it is off: the migration's record names both ways out.`);
  if (row.type !== 'live-migration') return nothingToCall('Nothing is lost by waiting: its workflow goes on by itself.');
  if (isPastRelease(row.phase)) return nothingToCall('The source has let go: it goes on by itself, and cannot be given up any more.');
  return {
    sentence: 'Abort it: the guest goes on running where it is.',
    request: { service: 'godwit', method: 'POST', path: `/migrations/${row.id}/abort`, body: null },
  };
}

const seconds = (ms: number): string => (ms < 100_000 ? `${Math.round(ms / 1000)} s` : `${Math.round(ms / 60_000)} min`);
