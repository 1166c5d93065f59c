import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import { GodwitError } from '@godwit/domain/errors';
import { agentFailure } from '../../agents/agent-error.ts';
import type { AgentClient } from '../../agents/agents.ts';
import { isFenced } from '../../hosts/fence-host.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { sourceMessages } from '../custody/report-messages.ts';
import { grantOf } from '../custody/settle.ts';
import { wireGrant } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { readServer, writeServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { brokenAtDestination, hasTaken } from './ask-destination.ts';
import { sourceRebooted } from './ask-source.ts';
import { causeAtSource, reportedCause } from './cause.ts';
import { giveUp } from './give-up.ts';
import { counters, measuresOf, progressOf } from './measures.ts';
import { advance, type Move, readMove, readMoveAndCustody, tellMove, writeMove } from './move.ts';
import { readyOf } from './preparing.ts';
import { tellPolicy } from './tell-policy.ts';
import { withReported } from './timeline.ts';
import { copyTerms, wirePolicy } from './wire-policy.ts';

const START_TIMEOUT_MS = 30_000;
/** How long one question for news may stay open; an abort does not wait for it. */
const AWAIT_MS = 500;
const RETRY_MS = 250;
const NOTE_EVERY_MS = 400;
/** A source that does not answer when it is to begin. Once it has begun it is waited for (custody rule 5). */
const START_PATIENCE_MS = 20_000;
/** No byte in this long means a dead link: QEMU says `active` for ever. */
const STUCK_MS = 30_000;
const SOURCE_REBOOTED = 'The source has rebooted during the migration: the guest is off, and what had been copied was discarded.';

/**
 * copying → switchover. The source is armed and copies; this loop only watches. It ends with the source's release heard and stored, or with the
 * attempt ended at the source, which then still runs the guest. Undo: cancel at the source, then the destination forfeits.
 */
export async function copy(context: WorkflowContext, run: WorkflowRun, first: Move): Promise<Move | undefined> {
  const { db } = context;
  const client = await context.agents.client(first.source);
  let report = await begin(context, run, first, client);
  let moved = { bytes: -1n, at: Date.now() };
  // What ends sooner has told all at once.
  let noted = Date.now();
  let policyVersion = 0;
  while (report !== null) {
    checkpoint(run);
    const { move, row } = await readMoveAndCustody(db, first.moveId);
    const grant = grantOf(row);
    if (grant === null) throw new Error(`migration ${move.moveId} copies without a grant`);
    if (row.operation?.kind === 'move' && row.operation.step === 'releasing') {
      // The release came to us by itself; the source may be gone by now.
      return db.transaction().execute((tx) => advance(tx, run, move, 'switchover', 'running'));
    }
    const messages = sourceMessages(report, grant, row);
    const current = report;
    if (current.state === 'released') {
      return db.transaction().execute(async (tx) => {
        await stepCustody(
          tx,
          move.serverId,
          run.fence,
          messages.map((message) => ({ kind: 'heard', from: move.source, message }) as const),
        );
        return advance(tx, run, move, 'switchover', 'running', {
          ...counters(current),
          release: JSON.stringify({ stoppedAtMs: current.stoppedAtMs, completedAtMs: current.completedAtMs }),
          measures: JSON.stringify(measuresOf(current, null)),
        });
      });
    }
    if (current.state === 'cancelled' || current.state === 'failed' || current.state === 'guest-gone' || current.state === 'lost') {
      const cause = reportedCause(
        current.cause,
        current.state === 'guest-gone' ? 'GuestCrashed' : current.state === 'lost' ? 'SourceDied' : 'StreamFailed',
      );
      // The source only sees that the stream broke.
      const broken = current.state === 'failed' && cause === 'StreamFailed' ? await brokenAtDestination(context, run, move, grant) : null;
      const rebooted = current.state === 'lost' && (await sourceRebooted(context, run, move, row));
      await giveUp(context, run, move, {
        cause: broken?.cause ?? cause,
        sentence: rebooted ? SOURCE_REBOOTED : (broken?.sentence ?? sentenceOf(current)),
        phase: 'failed',
        sourceRebooted: rebooted,
        standsStill: current.guestState === GuestState.IO_ERROR,
        // The source's own word for a destination whose agent is gone counts as well.
        elsewhere: broken !== null || cause === 'DestinationDown',
        evidence: [
          `source: ${current.state}${current.detail === '' ? '' : `: ${current.detail}`}`,
          ...(current.qemuStatus === '' ? [] : [`QEMU says ${current.qemuStatus}`]),
        ],
      });
      return;
    }
    // Not at every change of state: the release comes right behind the last of them, and is not to wait for a progress bar.
    if (Date.now() - noted >= NOTE_EVERY_MS) {
      await note(context, run, move, current);
      noted = Date.now();
    }
    if (move.abort_requested_at !== null) {
      await abort(context, run, move);
      return;
    }
    if (move.policy_version > policyVersion && (await tellPolicy(context, run, move, client, grant))) policyVersion = move.policy_version;
    const bytes = current.disks.reduce((sum, disk) => sum + disk.offsetBytes, current.ram?.transferredBytes ?? 0n);
    if (bytes !== moved.bytes) moved = { bytes, at: Date.now() };
    else if (current.state === 'copying' && Date.now() - moved.at > STUCK_MS) {
      const broken = await brokenAtDestination(context, run, move, grant);
      await giveUp(context, run, move, {
        cause: 'Stuck',
        sentence: `Nothing has been transferred for ${STUCK_MS / 1000} s; the link between the hosts may be down.`,
        phase: 'failed',
        elsewhere: broken !== null,
        evidence: [`source: copying, ${bytes} bytes sent`],
      });
      return;
    }
    report = await nextReport(context, run, move, client, current);
  }
}

/** An abort that was asked for: before the release it cancels, after it nothing can be cancelled any more. */
export async function abort(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<void> {
  await giveUp(context, run, move, {
    cause: 'CancelledByOperator',
    sentence: 'The migration was cancelled by an operator.',
    phase: 'cancelled',
    evidence: [],
  });
}

/** Starts the copy, or finds it going on. Null: the move was given up. */
async function begin(context: WorkflowContext, run: WorkflowRun, move: Move, client: AgentClient): Promise<MigrationReport | null> {
  const { db } = context;
  const deadline = Date.now() + START_PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    const { move: now, row } = await readMoveAndCustody(db, move.moveId);
    const grant = grantOf(row);
    if (grant === null) throw new Error(`migration ${move.moveId} copies without a grant`);
    const started = row.operation?.kind === 'move' && row.operation.step !== 'arming' && row.operation.step !== 'granting';
    try {
      if (row.operation?.kind === 'move' && row.operation.step === 'releasing') {
        await db.transaction().execute((tx) => advance(tx, run, move, 'switchover', 'running'));
        return null;
      }
      if (started) return await client.getMigration({ migrationId: move.moveId }, { timeoutMs: START_TIMEOUT_MS, signal: run.signal });
      if (now.abort_requested_at !== null) {
        await abort(context, run, move);
        return null;
      }
      const terms = await copyTerms(db, now);
      if (terms.destination === null) throw new GodwitError('HostNotFound', `Compute host ${move.destination_host_id} could not be found.`);
      const policy = wirePolicy(context, now, terms);
      const report = await client.startOutgoing(
        { grant: wireGrant(grant, run.fence), ready: readyOf(move), policy, destination: terms.destination, requestId: run.id },
        { timeoutMs: START_TIMEOUT_MS, signal: run.signal },
      );
      await context.faultPoint('copying:started');
      await db
        .transaction()
        .execute((tx) =>
          stepCustody(tx, move.serverId, run.fence, [{ kind: 'heard', from: move.source, message: { kind: 'armed', epoch: grant.epoch } }]),
        );
      return report;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && ((started && (await hasTaken(context, run, move))) || (await sourceFenced(context, run, move))))
        return null;
      if (failure.kind === 'unreachable' && (started || Date.now() < deadline)) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, move.serverId, move.source, failure);
      const rebooted = await sourceRebooted(context, run, move, row);
      await giveUp(context, run, move, {
        cause: rebooted ? 'SourceDied' : causeAtSource(failure),
        sentence: rebooted
          ? SOURCE_REBOOTED
          : failure.kind === 'unreachable'
            ? 'The source did not answer when it was to begin copying.'
            : `The source could not begin copying: ${failure.message}`,
        phase: 'failed',
        sourceRebooted: rebooted,
        evidence: [`${failure.code}: ${failure.message}`],
      });
      return null;
    }
  }
}

/** The next account of the source: at a change of state, at a wake (an abort), or after a moment. A source that does not answer is asked again. */
async function nextReport(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  client: AgentClient,
  known: MigrationReport,
): Promise<MigrationReport | null> {
  const cancelled = new AbortController();
  const waiting = AbortSignal.any([run.signal, cancelled.signal]);
  const asked = client
    .awaitMigration(
      { migrationId: move.moveId, knownState: known.state, waitMs: BigInt(AWAIT_MS) },
      { timeoutMs: AWAIT_MS + 5_000, signal: waiting },
    )
    .then(
      (report) => ({ kind: 'report', report }) as const,
      (error: unknown) => ({ kind: 'error', error }) as const,
    );
  const woken = run.woken(waiting).then(() => ({ kind: 'woken' }) as const);
  const first = await Promise.race([asked, woken]);
  cancelled.abort();
  await Promise.all([asked, woken]);
  checkpoint(run);
  if (first.kind === 'report') return first.report;
  // The source's own progress wakes us too, sooner than a question ends: what it said before would be believed for ever, and the move be called stuck.
  if (first.kind === 'woken') {
    // Most often by the release itself, which the row has then.
    const { row } = await readMoveAndCustody(context.db, move.moveId);
    if (row.operation?.kind === 'move' && row.operation.step === 'releasing') return known;
    return client.getMigration({ migrationId: move.moveId }, { timeoutMs: AWAIT_MS, signal: run.signal }).catch((error: unknown) => {
      if (agentFailure(error).kind !== 'unreachable') throw error;
      return known;
    });
  }
  const failure = agentFailure(first.error);
  if (failure.kind === 'unreachable') {
    if ((await hasTaken(context, run, move)) || (await sourceFenced(context, run, move))) return null;
    await run.pause(RETRY_MS);
    return known;
  }
  const rebooted = await sourceRebooted(context, run, move, await readCustody(context.db, move.serverId));
  await giveUp(context, run, await readMove(context.db, move.moveId), {
    cause: rebooted ? 'SourceDied' : causeAtSource(failure),
    sentence: rebooted ? SOURCE_REBOOTED : `The source has lost track of the migration: ${failure.message}`,
    phase: 'failed',
    sourceRebooted: rebooted,
    evidence: [`${failure.code}: ${failure.message}`],
  });
  return null;
}

/** True when the source was fenced, so that the move is given up: without its word nobody knows whether it had released, and only a take that the destination shows is a success. */
async function sourceFenced(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<boolean> {
  if (!(await isFenced(context.db, move.source))) return false;
  await giveUp(context, run, await readMove(context.db, move.moveId), {
    cause: 'SourceDown',
    sentence:
      'The source was fenced while the guest was on its way: what had been copied is discarded, and the guest can be started again from its disk, without what it had not written there.',
    phase: 'failed',
    evidence: [],
  });
  return true;
}

/** Writes what has been counted so far, for the record, the server's progress and the event stream. */
async function note(context: WorkflowContext, run: WorkflowRun, move: Move, report: MigrationReport): Promise<void> {
  const counted = counters(report);
  await context.db.transaction().execute(async (tx) => {
    // What the guest writes again has to be sent again; a progress that runs backwards tells nothing.
    const progress = Math.max((await readServer(tx, move.serverId)).progress, progressOf(report));
    await writeServer(tx, run, move.serverId, { progress });
    await writeMove(tx, run, move, {
      ...counted,
      measures: JSON.stringify(measuresOf(report, null)),
      timeline: JSON.stringify(withReported(move.timeline, 'source', report.timeline)),
    });
    await tellMove(tx, move, {
      phase: move.phase,
      status: move.status,
      progress: { percent: progress, ...counted, dirtyPagesRate: Number(report.ram?.dirtyPagesRate ?? 0n), mbps: report.ram?.mbps ?? 0 },
    });
  });
}

function sentenceOf(report: MigrationReport): string {
  switch (report.state) {
    case 'guest-gone':
      return report.detail === '' ? 'The guest ended on the source during the migration.' : report.detail;
    case 'lost':
      return report.detail === '' ? "The source's QEMU ended during the migration." : report.detail;
    default:
      return report.detail === '' ? 'The copy to the destination failed; the guest runs on at the source.' : report.detail;
  }
}
