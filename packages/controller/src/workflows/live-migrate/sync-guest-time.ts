import { type GuestTime, guestTimeOutcomes, guestTimeText, noAnswer } from '@godwit/domain/guest-time';
import { as, asEpoch, type HostId, type ServerId } from '@godwit/domain/ids';
import type { TimelineEntry } from '@godwit/domain/migration';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import { readCustody } from '../custody/custody-store.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';

/** The host's agent gives the one inside the guest five seconds. */
const RPC_TIMEOUT_MS = 10_000;
const RETRY_MS = 500;
const PATIENCE_MS = 15_000;

/**
 * After a move whose record is terminal, of a guest with a channel for the QEMU guest agent: its clock is set by its host's, and the record says what it was, what it is, or why nobody knows. Nothing
 * of the move depends on it; doing it twice is harmless.
 */
export async function syncGuestTime(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const move = await db
    .selectFrom('migration')
    .select(['server_id', 'destination_host_id', 'epoch_to', 'measures', 'finished_at'])
    .where('id', '=', run.subjectId)
    .executeTakeFirst();
  if (move === undefined || move.finished_at === null || move.measures?.guestTime !== undefined) return;
  const guestTime = await askDestination(
    context,
    run,
    as<ServerId>(move.server_id),
    as<HostId>(move.destination_host_id ?? ''),
    move.epoch_to,
  );
  const entry: TimelineEntry = { at: Date.now(), clock: 'controller', what: 'guest clock', detail: guestTimeText(guestTime) };
  await db
    .updateTable('migration')
    .set({
      measures: sql`coalesce(measures, '{}') || ${JSON.stringify({ guestTime })}::jsonb`,
      timeline: sql`timeline || ${JSON.stringify([entry])}::jsonb`,
    })
    .where('id', '=', run.subjectId)
    .execute();
}

async function askDestination(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  destination: HostId,
  epoch: number | null,
): Promise<GuestTime> {
  for (const deadline = Date.now() + PATIENCE_MS; ; ) {
    checkpoint(run);
    const { holder } = await readCustody(context.db, serverId);
    if (holder.kind !== 'host' || holder.hostId !== destination || holder.epoch !== epoch)
      return noAnswer('the guest does not run there any more');
    try {
      const client = await context.agents.client(destination);
      const { outcome, driftBeforeMs, driftAfterMs, errorMs, detail } = await client.syncGuestTime(
        { custody: wireCustody(serverId, asEpoch(epoch), run.fence), requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      const known = guestTimeOutcomes.find((one) => one === outcome);
      if (known === undefined) return noAnswer(`the host's agent answers ${JSON.stringify(outcome)}, which this controller does not know`);
      return {
        outcome: known,
        driftBeforeMs: driftBeforeMs ?? null,
        driftAfterMs: driftAfterMs ?? null,
        errorMs: errorMs ?? null,
        detail,
      };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      return noAnswer(`${failure.code}: ${failure.message}`);
    }
  }
}
