import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import type { Db } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { readServer, type ServerRecord } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const RPC_TIMEOUT_MS = 60_000;

/** Whether disks that were copied away from a host may lie there still. */
export async function keepsCopiedDisks(db: Db, hostId: HostId): Promise<readonly ServerId[]> {
  const rows = await db
    .selectFrom('migration')
    .select('server_id')
    .distinct()
    .where('source_host_id', '=', hostId)
    .where('source_disks_left', '=', true)
    .execute();
  return rows.map(({ server_id }) => as<ServerId>(server_id));
}

/**
 * Deletes the disks that live migrations left at their sources, because those, or the destination, did not answer in time. Only while nothing else is under way with the
 * server, only while its guest lives elsewhere on the others (or it is being deleted), and never where it is now: then the disks there are its own again. False when a host did not do
 * it; it is told again when it returns.
 */
export async function clearCopiedDisks(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<boolean> {
  const { db } = context;
  const left = await db
    .selectFrom('migration')
    .select(['id', 'source_host_id'])
    .where('server_id', '=', serverId)
    .where('source_disks_left', '=', true)
    .execute();
  let cleared = true;
  for (const { id, source_host_id } of left) {
    const [server, guest, { epoch }] = await Promise.all([readServer(db, serverId), localGuest(db, serverId), readCustody(db, serverId)]);
    if (guest !== null && source_host_id !== null && source_host_id !== server.host_id) {
      // Until then these may be the better ones, or the only ones.
      if (!isBeingDeleted(server) && !(await livesAt(db, server))) continue;
      try {
        const client = await context.agents.client(as<HostId>(source_host_id));
        await client.dropOutgoing(
          { custody: wireCustody(serverId, epoch, run.fence), migrationId: id, deleteDisks: true, guest, requestId: run.id },
          { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
        );
      } catch (error) {
        checkpoint(run);
        const failure = agentFailure(error);
        context.log.warn(
          { server: serverId, host: source_host_id, code: failure.code, detail: failure.message },
          'disks that were copied away from a host were not deleted there yet',
        );
        cleared = false;
        continue;
      }
    }
    await db.updateTable('migration').set({ source_disks_left: false }).where('id', '=', id).execute();
  }
  return cleared;
}

const isBeingDeleted = ({ deleted_at, task_state }: ServerRecord): boolean => deleted_at !== null || task_state === 'deleting';

/** The guest runs, or is paused, where its row says, and that host answers: the row of one that does not may be old. */
async function livesAt(db: Db, { host_id, vm_state }: ServerRecord): Promise<boolean> {
  if (host_id === null || (vm_state !== 'active' && vm_state !== 'paused')) return false;
  return (await db.selectFrom('host').select('reachable').where('id', '=', host_id).executeTakeFirst())?.reachable === true;
}
