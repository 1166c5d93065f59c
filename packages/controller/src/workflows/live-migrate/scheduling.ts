import { noValidHostMessage } from '@godwit/domain/scheduling/no-valid-host';
import type { Db } from '../../store/database.ts';
import type { WorkflowRun } from '../port.ts';
import { type ActionRef, beginEvent, finishEvent } from '../record/actions.ts';
import { claimMove, place } from '../scheduling/claim.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { finishMove, MOVE_EVENT } from './finish-move.ts';
import { advance, type Move } from './move.ts';
import { isTurnOf } from './queue.ts';
import { requestedBlockMigration, type StorageRefusal, storageRefusal } from './storage-refusal.ts';
import { withPhase } from './timeline.ts';
import { triedHosts } from './try-elsewhere.ts';

const EVENT = 'conductor_live_migrate_instance';

/**
 * accepted, scheduling → queued, or at once → preparing when the links are free. Host, claim, verdicts and turn are one transaction: the migration holds the source from
 * then on and the server the destination. No host: the record ends `error` and nothing has changed. Undo: `restoreClaim` (finish-move).
 */
export async function schedule(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<Move | undefined> {
  const action = { serverId: move.serverId, requestId: move.request_id };
  return context.db.transaction().execute(async (tx): Promise<Move | undefined> => {
    await beginEvent(tx, action, EVENT, null);
    const begun = {
      ...move,
      timeline: [...move.timeline, { at: Date.now(), clock: 'controller' as const, what: 'phase', detail: 'scheduling' }],
    };
    const refusal = await storageRefusal(tx, move.serverId, requestedBlockMigration(move.block_migration));
    if (refusal !== null) {
      await endRefused(tx, context, run, begun, action, refusal);
      return;
    }
    const placement = await place(tx, move.serverId, {
      kind: 'live-migration',
      requestedHost: move.requested_host,
      copiesLocalDisks: move.block_migration !== 'false',
      diskOverCommit: move.disk_over_commit,
      excludedHosts: triedHosts(move),
      ratios: context.config,
      hosts: context.hosts,
      seed: run.fence,
    });
    if (placement.kind === 'no-valid-host') {
      await finishEvent(tx, action, EVENT, { ok: false, details: `${noValidHostMessage('live-migration')} ${placement.details}` });
      // Why the hosts before would not have it is the cause; that no other is left follows from it.
      const last = move.attempts.at(-1);
      const ends = last === undefined ? 'error' : 'failed';
      await finishMove(tx, context, run, begun, {
        phase: ends,
        status: ends,
        outcome: {
          cause: last?.cause ?? 'NoValidHost',
          sentence:
            last === undefined ? `NoValidHost: ${noValidHostMessage('live-migration')}` : `${last.sentence} No other host could be chosen.`,
          runsOn: 'source',
          evidence: [placement.details],
        },
        more: { verdicts: JSON.stringify(placement.verdicts), timeline: JSON.stringify(begun.timeline) },
        server: { hostId: move.source, vmState: move.previous_vm_state },
      });
      return;
    }
    await claimMove(tx, move, placement.host.id, placement.demand);
    await finishEvent(tx, action, EVENT, { ok: true, details: placement.details });
    await beginEvent(tx, action, MOVE_EVENT, move.source);
    const queued: Move = {
      ...begun,
      destination_host_id: placement.host.id,
      timeline: withPhase(begun.timeline, 'queued', Date.now()),
    };
    const known = { destination_host_id: placement.host.id, verdicts: JSON.stringify(placement.verdicts) };
    return (await isTurnOf(tx, queued, context.config.limits))
      ? advance(tx, run, queued, 'preparing', 'preparing', known)
      : advance(tx, run, queued, 'queued', 'queued', known);
  });
}

/** From 2.34 on a request that contradicts the server's storage has been accepted: its record says why nothing was moved. */
async function endRefused(
  tx: Db,
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  action: ActionRef,
  refusal: StorageRefusal,
): Promise<void> {
  await finishEvent(tx, action, EVENT, { ok: false, details: refusal.message });
  await finishMove(tx, context, run, move, {
    phase: 'error',
    status: 'error',
    outcome: { cause: refusal.code, sentence: refusal.message, runsOn: 'source', evidence: [] },
    more: { timeline: JSON.stringify(move.timeline) },
    server: { hostId: move.source, vmState: move.previous_vm_state },
  });
}

// A wake is sent when a move ends; this is for the one that ends with its controller.
const LOOK_AGAIN_MS = 1_000;

/** queued → preparing, when it is this move's turn on both links. Undo: none, it only waits. */
export async function awaitTurn(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<Move | undefined> {
  const begun = await context.db
    .transaction()
    .execute(async (tx) => ((await isTurnOf(tx, move, context.config.limits)) ? advance(tx, run, move, 'preparing', 'preparing') : null));
  if (begun !== null) return begun;
  await run.pause(LOOK_AGAIN_MS);
}
