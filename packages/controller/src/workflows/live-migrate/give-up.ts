import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { as, type HostId } from '@godwit/domain/ids';
import type { MigrationOutcome } from '@godwit/domain/migration';
import type { VmState } from '@godwit/domain/server';
import type { Db } from '../../store/database.ts';
import { applyFences } from '../custody/apply-fences.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { settle } from '../custody/settle.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { noteReboot } from '../server/note-reboot.ts';
import { readServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { diedAfterTake, hasTaken } from './ask-destination.ts';
import { finishMove } from './finish-move.ts';
import { advance, type GivingUp, type Move, readMove, writeMove } from './move.ts';
import { recoverBefore } from './recover-before.ts';
import { tryElsewhere } from './try-elsewhere.ts';

const RETRY_FIRST_MS = 250;
const RETRY_MAX_MS = 5_000;

/**
 * Gives a move up: why is written first, together with custody's turn backwards, so that nobody goes on with it. Then everything that was done is undone in the opposite order;
 * hosts that do not answer are waited for, because nobody knows what they did (custody rule 5).
 */
export async function giveUp(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  why: GivingUp,
  options: { readonly afterRelease: boolean } = { afterRelease: false },
): Promise<void> {
  const decided = await context.db.transaction().execute(async (tx) => {
    // The server's row before the migration's: the order in which everybody locks them.
    const row = await readCustody(tx, move.serverId, true);
    const { operation } = row;
    // A release that came meanwhile decides otherwise: forward. Unless the destination itself has failed after it.
    if (operation?.kind === 'move' && operation.step === 'releasing' && !options.afterRelease) return false;
    if (operation?.kind === 'move') await stepCustody(tx, move.serverId, run.fence, [{ kind: 'abort' }]);
    await writeMove(tx, run, move, { outcome: JSON.stringify(pending(why)) });
    return true;
  });
  if (!decided) return;
  await context.faultPoint('give-up:decided');
  await undo(context, run, await readMove(context.db, move.moveId));
}

/** The undoing, from wherever it stands. */
export async function undo(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<void> {
  let delay = RETRY_FIRST_MS;
  for (;;) {
    checkpoint(run);
    await applyFences(context, run, move.serverId);
    if ((await readCustody(context.db, move.serverId)).operation?.kind === 'recovery') await recoverBefore(context, run, move);
    const settled = await settle(context, run, move.serverId, {
      deleteDisks: false,
      forgotten: (tx) => noteForgotten(tx, run, move),
    });
    if (settled.kind === 'settled') return afterSettled(context, run, await readMove(context.db, move.moveId), settled.row);
    if (settled.hostId === move.source && (await hasTaken(context, run, await readMove(context.db, move.moveId)))) return;
    context.log.warn({ migration: move.moveId, host: settled.hostId, why: settled.why }, 'undoing a migration waits for a host');
    await run.pause(delay);
    delay = Math.min(RETRY_MAX_MS, delay * 2);
  }
}

/** What a destination had written down since its last sync went with the power, the take among it (custody rule 4). */
export const destinationForgot = (evidence: readonly string[]): GivingUp => ({
  cause: 'DestinationDown',
  sentence:
    'The destination has rebooted after the source had released the guest. Whether the guest had begun to run there is not known: it is off there, and a hard reboot starts it from its disk.',
  phase: 'error',
  evidence,
  mayHaveRunThere: true,
});

/** Whatever the move was given up for: a release that nobody had heard of by then has gone to a destination that has rebooted since. */
async function noteForgotten(tx: Db, run: WorkflowRun, move: Move): Promise<void> {
  const why = givenUp(move);
  if (why?.mayHaveRunThere === true) return;
  await writeMove(tx, run, move, {
    outcome: JSON.stringify(pending(destinationForgot(why === null ? [] : [why.sentence, ...why.evidence]))),
  });
}

/** Ends the record by where custody says the guest is now. */
export async function afterSettled(context: WorkflowContext, run: WorkflowRun, move: Move, row: CustodyRow): Promise<void> {
  const { db } = context;
  const { holder } = row;
  const destination = as<HostId>(move.destination_host_id ?? '');
  if (holder.kind === 'host' && holder.hostId === destination) {
    // The destination had taken: what was to be given up has succeeded.
    await db.transaction().execute((tx) => advance(tx, run, move, 'committing', 'running', { outcome: null }));
    return;
  }
  // Whatever it was given up for: a guest that had been taken is the destination's, and so is its disk.
  if (holder.kind === 'nowhere' && (await diedAfterTake(context, run, move))) return;
  const why = givenUp(move) ?? {
    cause: 'CustodyUnknown',
    sentence: 'The move ended without a copy that may run.',
    phase: 'error',
    evidence: [],
  };
  const onSource = holder.kind === 'host' && holder.hostId === move.source;
  const there = !onSource && why.mayHaveRunThere === true;
  const copied = there && move.block_migration !== 'false' && (await localGuest(db, move.serverId)) !== null;
  if (onSource && (await tryElsewhere(context, run, move, why))) return;
  const stands = why.standsStill === true;
  const ended = onSource && !stands ? move.previous_vm_state : endedState(why);
  const outcome: MigrationOutcome = {
    cause: why.cause,
    sentence: why.sentence,
    runsOn: onSource && !stands ? 'source' : 'nowhere',
    evidence: why.evidence,
  };
  await db.transaction().execute(async (tx) => {
    await finishMove(tx, context, run, move, {
      phase: onSource || why.phase !== 'cancelled' ? why.phase : 'error',
      status: onSource || why.phase !== 'cancelled' ? why.phase : 'error',
      outcome,
      ...(copied && { more: { source_disks_left: true } }),
      server: { hostId: there ? destination : move.source, vmState: ended },
    });
    // A source that has released and is not to be resumed, for one: nobody else would ask for it before that host is heard of anew.
    if (row.remains.length > 0) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: move.serverId });
    if (!onSource && why.sourceRebooted === true) await noteReboot(context, tx, await readServer(tx, move.serverId), move.source, true);
  });
}

/** Before anything was granted: nothing to undo at the hosts, only the claim. */
export async function endBeforeGrant(context: WorkflowContext, run: WorkflowRun, move: Move, why: GivingUp): Promise<void> {
  await context.db.transaction().execute((tx) =>
    finishMove(tx, context, run, move, {
      phase: why.phase,
      status: why.phase,
      outcome: { cause: why.cause, sentence: why.sentence, runsOn: 'source', evidence: why.evidence },
      server: { hostId: move.source, vmState: move.previous_vm_state },
    }),
  );
}

/** What the record says about a move that is being given up; null while it goes on. */
export function givenUp(move: Move): GivingUp | null {
  const stored = move.outcome as (MigrationOutcome & Partial<ReturnType<typeof pending>>) | null;
  if (stored === null || stored.cause === null || stored.ends === undefined) return null;
  const { cause, sentence, evidence, sourceRebooted = false, standsStill = false, elsewhere = false, mayHaveRunThere = false } = stored;
  return { cause, sentence, phase: stored.ends, evidence, sourceRebooted, standsStill, elsewhere, mayHaveRunThere };
}

/** The outcome of a move that is being undone: it says how the record will end. */
export function pending(why: GivingUp): MigrationOutcome & {
  readonly ends: GivingUp['phase'];
  readonly sourceRebooted: boolean;
  readonly standsStill: boolean;
  readonly elsewhere: boolean;
  readonly mayHaveRunThere: boolean;
} {
  const { cause, sentence, evidence, phase, sourceRebooted = false, standsStill = false, elsewhere = false, mayHaveRunThere = false } = why;
  return { cause, sentence, runsOn: 'unknown', evidence, ends: phase, sourceRebooted, standsStill, elsewhere, mayHaveRunThere };
}

/** The server's state when no copy is left: it was powered off inside, or with its host, or it is lost. */
function endedState(why: GivingUp): VmState {
  return why.cause === 'GuestPoweredOff' || why.sourceRebooted === true ? 'stopped' : 'error';
}
