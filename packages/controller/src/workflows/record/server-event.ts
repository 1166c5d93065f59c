import { serverStatus } from '@godwit/domain/server-states';
import { type Selectable, sql } from 'kysely';
import { recordEvent } from '../../events/record-event.ts';
import type { ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';

/** What readers of the event stream are told of a server: columns of its row, also where that is being written. */
export const told = [
  'server.id',
  'server.name',
  'server.project_id',
  'server.vm_state',
  'server.task_state',
  'server.power_state',
  'server.progress',
  'server.deleted_at',
  'server.fault',
  'server.epoch',
] as const;
export const toldHost = sql<string | null>`(select host.name from host where host.id = server.host_id)`.as('host');

type Told = Pick<
  Selectable<ServerTable>,
  'id' | 'name' | 'project_id' | 'vm_state' | 'task_state' | 'power_state' | 'progress' | 'deleted_at' | 'fault' | 'epoch'
> & { readonly host: string | null };

/** Tells readers of the event stream how a server stands now; in the transaction that changed it. */
export async function tellServer(tx: Db, serverId: string): Promise<void> {
  const row = await tx.selectFrom('server').select(told).select(toldHost).where('server.id', '=', serverId).executeTakeFirst();
  if (row !== undefined) await tellServerAs(tx, row);
}

/** The same, of a row that was just written. */
export async function tellServerAs(tx: Db, row: Told): Promise<void> {
  await recordEvent(tx, {
    kind: 'server',
    subjectId: row.id,
    projectId: row.project_id,
    data: {
      id: row.id,
      name: row.name,
      status: serverStatus(row.vm_state, row.task_state),
      vmState: row.vm_state,
      taskState: row.task_state,
      powerState: row.power_state,
      progress: row.progress,
      deleted: row.deleted_at !== null,
      fault: row.fault === null ? null : row.fault.message,
      admin: { host: row.host, epoch: row.epoch },
    },
  });
}
