import { as, type HostId } from '@godwit/domain/ids';
import type { EarlierAttempt } from '@godwit/domain/migration';
import { readCustody } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { actionOf, finishEvent } from '../record/actions.ts';
import { unclaimMove } from '../scheduling/claim.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { MOVE_EVENT } from './finish-move.ts';
import { advance, type GivingUp, type Move } from './move.ts';

/** Hosts that one move may try, the first included: where three will not have it, the fault is rarely theirs. */
const MOST_HOSTS = 3;

/**
 * A move that failed by its destination's fault, is undone, and may go to any host begins anew without that host. False, and nothing is changed, when it may not: a host was asked
 * for, it was cancelled, or enough were tried.
 */
export async function tryElsewhere(context: WorkflowContext, run: WorkflowRun, move: Move, why: GivingUp): Promise<boolean> {
  const failed = move.destination_host_id;
  if (why.elsewhere !== true || failed === null || move.requested_host !== null || move.abort_requested_at !== null) return false;
  if (move.attempts.length + 1 >= MOST_HOSTS) return false;
  await context.db.transaction().execute(async (tx) => {
    // The server's row before the migration's: the order in which everybody locks them.
    await readCustody(tx, move.serverId, true);
    const host = await tx.selectFrom('host').select('name').where('id', '=', failed).executeTakeFirstOrThrow();
    const actionId = await actionOf(tx, move.serverId, move.request_id);
    if (actionId !== null)
      await finishEvent(tx, actionId, MOVE_EVENT, { ok: false, details: `${host.name}: ${why.sentence}`, actionGoesOn: true });
    await unclaimMove(tx, move, as<HostId>(failed));
    const attempt: EarlierAttempt = { hostId: failed, host: host.name, cause: why.cause, sentence: why.sentence, at: Date.now() };
    await advance(tx, run, { ...move, destination_host_id: null }, 'scheduling', 'accepted', {
      attempts: JSON.stringify([...move.attempts, attempt]),
      destination_host_id: null,
      incoming_ready: null,
      memory_stream: null,
      outcome: null,
    });
  });
  context.log.info({ migration: move.moveId, host: failed, cause: why.cause }, 'a host could not take a migration; another one is tried');
  return true;
}

/** The hosts that a move is not to try again, as the explanation shows them. */
export const triedHosts = (move: Pick<Move, 'attempts'>): readonly { readonly id: HostId; readonly reason: string }[] =>
  move.attempts.map(({ hostId, sentence }) => ({ id: as<HostId>(hostId), reason: `this move has failed there: ${sentence}` }));
