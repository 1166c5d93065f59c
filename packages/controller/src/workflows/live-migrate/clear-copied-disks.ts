import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import type { Db } from '../../store/database.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, Fenced, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { readServer, type ServerRecord } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const RPC_TIMEOUT_MS = 60_000;

/** The servers of which disks may lie at a host that moves have left there. */
export async function keepsCopiedDisks(db: Db, hostId: HostId): Promise<readonly ServerId[]> {
  const rows = await db
    .selectFrom('migration')
    .select('server_id')
    .distinct()
    .where((eb) =>
      eb.or([
        eb.and([eb('source_host_id', '=', hostId), eb('source_disks_left', '=', true)]),
        sql<boolean>`${hostId} = any(${eb.ref('disks_left_at')})`,
      ]),
    )
    .execute();
  return rows.map(({ server_id }) => as<ServerId>(server_id));
}

/** A host where a live migration has left disks, which was this end of it. */
type Left = { readonly id: string; readonly hostId: string | null; readonly end: 'source' | 'destination' };

async function leftBy(db: Db, serverId: ServerId): Promise<readonly Left[]> {
  const rows = await db
    .selectFrom('migration')
    .select(['id', 'source_host_id', 'source_disks_left', 'disks_left_at'])
    .where('server_id', '=', serverId)
    .where((eb) => eb.or([eb('source_disks_left', '=', true), sql<boolean>`cardinality(${eb.ref('disks_left_at')}) > 0`]))
    .execute();
  return rows.flatMap(({ id, source_host_id, source_disks_left, disks_left_at }) => [
    ...(source_disks_left ? [{ id, hostId: source_host_id, end: 'source' as const }] : []),
    ...disks_left_at.map((hostId) => ({ id, hostId, end: 'destination' as const })),
  ]);
}

/**
 * Deletes the disks that live migrations left at their sources, because those, or the destination, did not answer in time, and at destinations that had rebooted. Only while nothing else is under way with the
 * server, only while its guest lives elsewhere on the others (or it is being deleted), and never where it is now: then the disks there are its own again. False when a host did not do
 * it; it is told again when it returns.
 */
export async function clearCopiedDisks(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<boolean> {
  const { db } = context;
  let cleared = true;
  for (const { id, hostId, end } of await leftBy(db, serverId)) {
    const [server, guest, { epoch }] = await Promise.all([readServer(db, serverId), localGuest(db, serverId), readCustody(db, serverId)]);
    if (guest !== null && hostId !== null && hostId !== server.host_id) {
      // Until then these may be the better ones, or the only ones.
      if (!isBeingDeleted(server) && !(await livesAt(db, server))) continue;
      await context.faultPoint('copied-disks:deleting');
      // Each may take long, and so may what came before: an order that is older than a new move's is not even sent to where that may have made its own by now.
      if (!(await inCharge(db, run, serverId, server))) throw new Fenced(`server ${serverId}`);
      try {
        const client = await context.agents.client(as<HostId>(hostId));
        await client.dropOutgoing(
          { custody: wireCustody(serverId, epoch, run.fence), migrationId: id, deleteDisks: true, guest, requestId: run.id },
          { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
        );
      } catch (error) {
        checkpoint(run);
        const failure = agentFailure(error);
        context.log.warn(
          { server: serverId, host: hostId, code: failure.code, detail: failure.message },
          'disks that a move has left at a host were not deleted there yet',
        );
        cleared = false;
        continue;
      }
    }
    const gone =
      end === 'source' ? { source_disks_left: false } : { disks_left_at: sql<string[]>`array_remove(disks_left_at, ${hostId}::uuid)` };
    await db.updateTable('migration').set(gone).where('id', '=', id).execute();
  }
  return cleared;
}

const isBeingDeleted = ({ deleted_at, task_state }: ServerRecord): boolean => deleted_at !== null || task_state === 'deleting';

/** Nothing but this is under way with the server as it was read. */
const inCharge = (db: Db, run: WorkflowRun, serverId: ServerId, { deleted_at, task_state }: ServerRecord): Promise<boolean> =>
  takeCharge(db, serverId, run.fence, [task_state === 'deleting' ? 'deleting' : null], deleted_at !== null);

/** The guest runs, or is paused, where its row says, and that host answers: the row of one that does not may be old. */
async function livesAt(db: Db, { host_id, vm_state }: ServerRecord): Promise<boolean> {
  if (host_id === null || (vm_state !== 'active' && vm_state !== 'paused')) return false;
  return (await db.selectFrom('host').select('reachable').where('id', '=', host_id).executeTakeFirst())?.reachable === true;
}
