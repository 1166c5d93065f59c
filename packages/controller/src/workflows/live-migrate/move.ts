import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { MigrationCause, MigrationPhase, MigrationStatus, TimelineEntry } from '@godwit/domain/migration';
import type { Selectable, Updateable } from 'kysely';
import { EVENT_CHANNEL, type NewEvent, recordEvent } from '../../events/record-event.ts';
import type { MigrationTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { tellAfterCommit } from '../../store/notices.ts';
import { custodyRowOf } from '../custody/custody-row-of.ts';
import { Fenced, type WorkflowRun } from '../port.ts';
import { withPhase } from './timeline.ts';

/** A migration's row, with its ids told apart. */
export type Move = Selectable<MigrationTable> & { readonly moveId: MigrationId; readonly serverId: ServerId; readonly source: HostId };

/** A move that has to be given up: what the record will say. Written before anything is undone, so that whoever takes over goes on undoing. */
export type GivingUp = {
  readonly cause: MigrationCause;
  readonly sentence: string;
  readonly phase: 'failed' | 'cancelled' | 'error';
  readonly evidence: readonly string[];
  /** The destination alone is to blame and the guest never stopped: another host may be tried. */
  readonly elsewhere?: boolean;
  /** A disk has stopped the guest: it is at the source as before, and stands still there. */
  readonly standsStill?: boolean;
  /** The source has booted again since: its guest is not broken, only off. */
  readonly sourceRebooted?: boolean;
  /** The guest may have run at the destination: when no copy is left, its disks there are the ones that have every write it was told was safe. */
  readonly mayHaveRunThere?: boolean;
};

export async function readMove(db: Db, migrationId: MigrationId): Promise<Move> {
  return moveOf(migrationId, await db.selectFrom('migration').selectAll().where('id', '=', migrationId).executeTakeFirst());
}

/** The record, and the custody of its server, as one look at the database has both. */
export async function readMoveAndCustody(db: Db, migrationId: MigrationId): Promise<{ readonly move: Move; readonly row: CustodyRow }> {
  const found = await db
    .selectFrom('migration')
    .innerJoin('server', 'server.id', 'migration.server_id')
    .selectAll('migration')
    .select(['server.highest_epoch', 'server.fence as server_fence', 'server.custody'])
    .where('migration.id', '=', migrationId)
    .executeTakeFirst();
  if (found === undefined) throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
  const { highest_epoch, server_fence, custody, ...migration } = found;
  return {
    move: moveOf(migrationId, migration),
    row: custodyRowOf({ id: migration.server_id, highest_epoch, fence: server_fence, custody }),
  };
}

function moveOf(migrationId: MigrationId, row: Selectable<MigrationTable> | undefined): Move {
  if (row === undefined || row.source_host_id === null)
    throw new GodwitError('MigrationNotFound', `Migration ${migrationId} could not be found.`);
  return { ...row, moveId: migrationId, serverId: as<ServerId>(row.server_id), source: as<HostId>(row.source_host_id) };
}

/** Puts this executor in charge of the record, and returns it. Throws Fenced when a newer one is. */
export async function takeMove(db: Db, migrationId: MigrationId, run: Pick<WorkflowRun, 'fence'>): Promise<Move> {
  const row = await db
    .updateTable('migration')
    .set({ fence: run.fence })
    .where('id', '=', migrationId)
    .where('fence', '<=', run.fence)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new Fenced(`migration ${migrationId}`);
  return moveOf(migrationId, row);
}

/** Writes columns of the record under the run's fence; returns its policy as it is then. Throws Fenced when another executor is in charge, or it is terminal. */
export async function writeMove(
  tx: Db,
  run: Pick<WorkflowRun, 'fence'>,
  move: Pick<Move, 'moveId'>,
  values: Updateable<MigrationTable>,
): Promise<Pick<Move, 'policy'>> {
  const row = await tx
    .updateTable('migration')
    .set({ ...values, updated_at: new Date() })
    .where('id', '=', move.moveId)
    .where('fence', '=', run.fence)
    .where('finished_at', 'is', null)
    .returning('policy')
    .executeTakeFirst();
  if (row === undefined) throw new Fenced(`migration ${move.moveId}`);
  return row;
}

/** Advances the record to a phase, with whatever else becomes true with it, and tells the event stream. Returns the record as it is then. */
export async function advance(
  tx: Db,
  run: Pick<WorkflowRun, 'fence'>,
  move: Move,
  phase: MigrationPhase,
  status: MigrationStatus,
  values: Updateable<MigrationTable> = {},
): Promise<Move> {
  const timeline: readonly TimelineEntry[] = withPhase(move.timeline, phase, Date.now());
  // One statement, because every move makes seven of them.
  const { kind, subjectId, data } = moveEvent(move, { phase, status });
  const row = await tx
    .with('told', (query) =>
      query.insertInto('event').values((eb) => ({
        kind,
        subject_id: subjectId,
        project_id: eb.selectFrom('server').select('project_id').where('id', '=', move.serverId),
        data: JSON.stringify(data),
      })),
    )
    .updateTable('migration')
    .set({ timeline: JSON.stringify(timeline), ...values, phase, status, updated_at: new Date() })
    .where('id', '=', move.moveId)
    .where('fence', '=', run.fence)
    .where('finished_at', 'is', null)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new Fenced(`migration ${move.moveId}`);
  await tellAfterCommit(tx, EVENT_CHANNEL, '');
  return { ...move, ...row };
}

type MoveNow = { readonly phase: string; readonly status: string; readonly progress?: Readonly<Record<string, unknown>> };

/** Tells the event stream how a move stands; what it counts is only for admins, who alone may list migrations. */
export async function tellMove(tx: Db, move: Move, now: MoveNow): Promise<void> {
  await recordEvent(tx, moveEvent(move, now));
}

const moveEvent = (move: Move, now: MoveNow): NewEvent => ({
  kind: 'migration',
  subjectId: move.moveId,
  projectId: { ofServer: move.serverId },
  data: {
    id: move.moveId,
    serverId: move.serverId,
    status: now.status,
    phase: now.phase,
    admin: { source: move.source, destination: move.destination_host_id, ...now.progress },
  },
});
