import type { HostId } from '@godwit/domain/ids';
import type { TaskState } from '@godwit/domain/server';
import type { Db } from '../../store/database.ts';
import type { Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { writeServer } from '../server/server-record.ts';

/**
 * The server belongs to one side of its move from now on: host, ports, and on a resize the flavor of that side. Its disk is as large as the larger flavor says, on both
 * sides: it is never made smaller. The agent grows it at the next start. Only while nothing runs.
 */
export async function switchHost(
  tx: Db,
  run: Pick<WorkflowRun, 'fence'>,
  move: Move,
  side: 'source' | 'destination',
  taskState: TaskState,
): Promise<void> {
  const hostId: HostId | string | null = side === 'source' ? move.source : move.destination_host_id;
  const flavor = side === 'source' ? move.old_flavor : move.new_flavor;
  const flavorId = side === 'source' ? move.old_flavor_id : move.new_flavor_id;
  await writeServer(tx, run, move.serverId, {
    host_id: hostId,
    task_state: taskState,
    ...(flavor === null || flavorId === null ? {} : { flavor: JSON.stringify(flavor), flavor_id: flavorId }),
  });
  await tx.updateTable('port').set({ host_id: hostId, updated_at: new Date() }).where('server_id', '=', move.serverId).execute();
  if (side === 'source' || move.type !== 'resize' || flavor === null || flavor.disk_gib === 0) return;
  const bytes = flavor.disk_gib * 2 ** 30;
  await tx
    .updateTable('disk')
    .set({ size_bytes: bytes })
    .where('server_id', '=', move.serverId)
    .where('device_index', '=', 0)
    .where('size_bytes', '<', bytes)
    .execute();
}
