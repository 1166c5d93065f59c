import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { Selectable, Updateable } from 'kysely';
import type { ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { Fenced, type WorkflowRun } from '../port.ts';
import { tellServerAs, told, toldHost } from '../record/server-event.ts';

export type ServerRecord = Selectable<ServerTable>;

/** The server's row as it is now. Throws ServerNotFound when it never was; a deleted one is returned. */
export async function readServer(db: Db, serverId: ServerId): Promise<ServerRecord> {
  const row = await db.selectFrom('server').selectAll().where('id', '=', serverId).executeTakeFirst();
  if (row === undefined) throw new GodwitError('ServerNotFound', `Instance ${serverId} could not be found.`);
  return row;
}

/** Writes columns of a server under the run's fence and tells the event stream. Throws Fenced when another executor is in charge. */
export async function writeServer(
  tx: Db,
  run: Pick<WorkflowRun, 'fence'>,
  serverId: ServerId,
  values: Updateable<ServerTable>,
): Promise<void> {
  const row = await tx
    .updateTable('server')
    .set({ ...values, updated_at: new Date() })
    .where('id', '=', serverId)
    .where('fence', '=', run.fence)
    .returning(told)
    .returning(toldHost)
    .executeTakeFirst();
  if (row === undefined) throw new Fenced(`server ${serverId}`);
  await tellServerAs(tx, row);
}
