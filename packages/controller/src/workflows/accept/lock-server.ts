import { GodwitError } from '@godwit/domain/errors';
import type { HypervisorType } from '@godwit/domain/host';
import type { ServerId } from '@godwit/domain/ids';
import { checkAction, type ServerAction } from '@godwit/domain/server-states';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { ServerRecord } from '../server/server-record.ts';

export type LockedServer = ServerRecord & { readonly hypervisorType: HypervisorType | null; readonly hostName: string | null };

/**
 * Locks the server's row and asks the table of actions whether the caller may do this now. Throws what the API answers, in the contract's order; nothing
 * has changed then. The lock makes the check and the change that follows one step.
 */
export async function lockForAction(tx: Db, action: ServerAction, serverId: ServerId, caller: Caller): Promise<LockedServer> {
  const server = await tx
    .selectFrom('server')
    .selectAll()
    // Not joined: a row that changed while we waited for its lock is looked at again, but joined with the host of before.
    .select((eb) => {
      const host = eb.selectFrom('host').whereRef('host.id', '=', 'server.host_id');
      return [host.select('host.hypervisor_type').as('hypervisorType'), host.select('host.name').as('hostName')];
    })
    .where('id', '=', serverId)
    .where('deleted_at', 'is', null)
    .forUpdate('server')
    .executeTakeFirst();
  if (server === undefined) throw new GodwitError('ServerNotFound', `Instance ${serverId} could not be found.`);
  const verdict = checkAction(
    action,
    {
      id: server.id,
      projectId: server.project_id,
      vmState: server.vm_state,
      taskState: server.task_state,
      locked: server.locked,
      hypervisorType: server.hypervisorType,
    },
    caller,
  );
  if (!verdict.ok) throw new GodwitError(verdict.code, verdict.message);
  return server;
}

/**
 * Keeps whatever still runs on the locked server from writing its end over the task that is being accepted: from now on only a run that begins later may write. Without it a pause that
 * ends right after a delete was accepted would take the word `deleting` away, and nobody would delete.
 */
export async function shutOutRunning(tx: Db, serverId: ServerId): Promise<void> {
  await sql`update server set fence = nextval('fence_sequence') where id = ${serverId}`.execute(tx);
}
