import { serverStatus } from '@godwit/domain/server-states';
import { recordEvent } from '../../events/record-event.ts';
import type { Db } from '../../store/database.ts';

/** Tells readers of the event stream how a server stands now; in the transaction that changed it. */
export async function tellServer(tx: Db, serverId: string): Promise<void> {
  const row = await tx
    .selectFrom('server')
    .leftJoin('host', 'host.id', 'server.host_id')
    .select([
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
      'host.name as host',
    ])
    .where('server.id', '=', serverId)
    .executeTakeFirst();
  if (row === undefined) return;
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
