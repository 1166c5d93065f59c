import type { Guest } from '@godwit/contract/gen/guest_pb';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import type { Db } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { type Move, tellMove, writeMove } from '../live-migrate/move.ts';
import { peerAddress } from '../live-migrate/preparing.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { destroyAt } from '../server/remove-disks.ts';
import { writeServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const OFFER_TIMEOUT_MS = 30_000;
/** The link between the agents notices a dead peer within seconds; this only bounds a copy that never ends. */
const COPY_TIMEOUT_MS = 24 * 3_600_000;
/** Since the last byte. */
const PATIENCE_MS = 30_000;
const RETRY_MS = 1_000;

/**
 * Copies the local disks of a stopped guest from one side of its move to the other, with progress in the record. Null when they are whole and durable there; otherwise why not, and
 * nothing has replaced anything but whole disks. Repeating it copies again.
 */
export async function copyDisks(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  guest: Guest,
  from: HostId,
  to: HostId,
): Promise<AgentFailure | null> {
  let deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    const { epoch } = await readCustody(context.db, move.serverId);
    const order = { custody: wireCustody(move.serverId, epoch, run.fence), migrationId: move.moveId, guest, requestId: run.id };
    try {
      const [source, destination] = await Promise.all([context.agents.client(from), context.agents.client(to)]);
      const offered = await source.offerDisks({ ...order, destinationHostId: to }, { timeoutMs: OFFER_TIMEOUT_MS, signal: run.signal });
      const totalBytes = Number(offered.totalBytes);
      const address = await peerAddress(context.db, from);
      for await (const { copiedBytes } of destination.fetchDisks(
        { ...order, source: address },
        { timeoutMs: COPY_TIMEOUT_MS, signal: run.signal },
      )) {
        deadline = Date.now() + PATIENCE_MS;
        await note(context, run, move, Number(copiedBytes), totalBytes);
      }
      await note(context, run, move, totalBytes, totalBytes);
      return null;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      // Conflict: a copy that an executor before has ordered is still going on.
      const again = failure.kind === 'unreachable' || failure.code === 'Conflict';
      if (!again || Date.now() > deadline) return failure;
      await run.pause(RETRY_MS);
    }
  }
}

/** Deletes the local disks that a side keeps of a server which lives on the other one, and what else it remembers of it. False when the host did not do it. */
export async function clearSide(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, hostId: HostId): Promise<boolean> {
  return destroyAt(context, run, serverId, hostId, await localGuest(context.db, serverId));
}

/** Whether nobody has to wait for a host any more: it is fenced since, or gone. */
export async function givenUpOn(db: Db, hostId: string, since: Date): Promise<boolean> {
  const host = await db.selectFrom('host').select(['fenced_at', 'deleted_at']).where('id', '=', hostId).executeTakeFirst();
  return host === undefined || host.deleted_at !== null || (host.fenced_at !== null && host.fenced_at > since);
}

async function note(context: WorkflowContext, run: WorkflowRun, move: Move, copied: number, total: number): Promise<void> {
  const counted = { disk_total_bytes: total, disk_processed_bytes: copied, disk_remaining_bytes: Math.max(0, total - copied) };
  const percent = total === 0 ? 0 : Math.min(100, Math.floor((copied * 100) / total));
  await context.db.transaction().execute(async (tx) => {
    await writeServer(tx, run, move.serverId, { progress: percent });
    await writeMove(tx, run, move, counted);
    await tellMove(tx, move, { phase: move.phase, status: move.status, progress: { percent, ...counted } });
  });
}

export const destinationOf = (move: Move): HostId => as<HostId>(move.destination_host_id ?? '');
