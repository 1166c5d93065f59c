import type { HostId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import { recordFact } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import type { ServerRecord } from './server-record.ts';

/**
 * Records that a server is off because its host has booted again, and starts it if the operator wants that of this host (and `mayStart`): by a grant, as ever. The caller's
 * transaction holds the server's row, which shows no operation.
 */
export async function noteReboot(
  context: Pick<WorkflowContext, 'workflows'>,
  tx: Db,
  server: ServerRecord,
  hostId: HostId,
  mayStart: boolean,
): Promise<void> {
  const host = await tx.selectFrom('host').select(['name', 'restart_guests_after_boot']).where('id', '=', hostId).executeTakeFirst();
  const actionId = await recordFact(tx, server, 'stop', `The host ${host?.name ?? ''} has rebooted.`);
  if (!mayStart || host?.restart_guests_after_boot !== true) return;
  await tx.updateTable('server').set({ task_state: 'powering-on' }).where('id', '=', server.id).execute();
  await context.workflows.enqueue(tx, { kind: 'power-server', subjectId: server.id, input: { operation: 'start', actionId } });
}
