import type { Guest } from '@godwit/contract/gen/guest_pb';
import { as, asEpoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import type { Db } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readServer, writeServer } from './server-record.ts';
import { wireGuest } from './wire-guest.ts';

/** A Ceph cluster takes a QEMU that was killed for alive for 30 s and more, and removes no image that it has open. */
const RPC_TIMEOUT_MS = 90_000;

/** Deletes the disks where they are, under an epoch granted to nobody. False when the host did not do it: the disk rows then stay, as the note of what is left there. */
export async function removeDisks(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<boolean> {
  const server = await readServer(context.db, serverId);
  if (server.host_id === null) return true;
  return destroyAt(context, run, serverId, as<HostId>(server.host_id), await wireGuest(context.db, serverId));
}

/** Whether a host is there to be asked again. */
export async function answers(db: Db, hostId: string | null): Promise<boolean> {
  if (hostId === null) return false;
  return (await db.selectFrom('host').select('reachable').where('id', '=', hostId).executeTakeFirst())?.reachable === true;
}

/**
 * Destroys what a host has of a server, under an epoch granted to nobody; and the disks of `guest` if one is given. False when the host
 * did not do it. The epoch is newer than any: only for a host that does not hold the server.
 */
export async function destroyAt(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  guest: Guest | null,
): Promise<boolean> {
  const epoch = await context.db.transaction().execute(async (tx) => {
    const burned = asEpoch((await readCustody(tx, serverId, true)).epoch + 1);
    await writeServer(tx, run, serverId, { highest_epoch: burned });
    return burned;
  });
  try {
    const client = await context.agents.client(hostId);
    await client.destroyGuest(
      {
        custody: wireCustody(serverId, epoch, run.fence),
        deleteDisks: guest !== null,
        ...(guest === null ? {} : { guest }),
        requestId: run.id,
      },
      { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
    );
    return true;
  } catch (error) {
    checkpoint(run);
    const failure = agentFailure(error);
    context.log.warn(
      { server: serverId, host: hostId, code: failure.code, detail: failure.message },
      'what a host has of a server was not removed yet',
    );
    return false;
  }
}
