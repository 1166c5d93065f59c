import { type Guest, GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import { as, asEpoch, type Epoch, type HostId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import { isFenced } from '../../hosts/fence-host.ts';
import { applyFences } from '../custody/apply-fences.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireCustody } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import { machineHasGuestAgent } from '../server/machine-guest-agent.ts';
import { noteReboot } from '../server/note-reboot.ts';
import { readServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { finishMove } from './finish-move.ts';
import { counters, measuresOf } from './measures.ts';
import type { Move } from './move.ts';
import { arrivedDead } from './switchover.ts';
import { withReported } from './timeline.ts';

const RPC_TIMEOUT_MS = 10_000;
const RETRY_MS = 250;
/** An agent that was killed is back within about a second. */
const DROP_PATIENCE_MS = 3_000;
/** The guest runs at the destination already: a verification that does not come is noted, not waited for. */
const PATIENCE_MS = 10_000;

/**
 * committing → completed (or error, when the guest did not survive the arrival). Ports and addresses announced and verified, the source's copy dropped, then the one
 * transaction in which everything becomes final. Forward only; a source that does not answer keeps its entry in custody's remains and is told when it returns. A destination that does not
 * answer is waited for (undefined: it is still): nobody knows how its guest fares, until it says so or is fenced.
 */
export async function commit(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<'ended' | undefined> {
  const { db } = context;
  const destination = as<HostId>(move.destination_host_id ?? '');
  const epoch = asEpoch(move.epoch_to ?? 0);
  const evidence: string[] = [];
  const copied = move.block_migration === 'false' ? null : await localGuest(db, move.serverId);
  const finishing = finishDestination(context, run, move, destination, epoch, evidence);
  // The source's disks are the guest's only other ones: deleted when it was seen alive on its new ones, and not before.
  const expendable = copied === null ? null : finishing.then((report) => (report !== null && !arrivedDead(report) ? copied : null));
  const [dropped, arrived] = await Promise.all([dropSource(context, run, move, evidence, expendable), finishing]);
  const { source } = dropped;
  // It has taken, and cannot tell how its guest fares any more: not a success because nobody contradicts.
  const now = arrived === null ? await guestNow(context, run, move, destination) : null;
  if (now === 'silent') return;
  const rebooted = now === 'rebooted';
  const fenced = now === 'fenced';
  const copiedThere = copied !== null;
  await context.faultPoint('committing:cleaned');
  await db.transaction().execute(async (tx) => {
    // Server before migration: the order in which everybody locks them.
    const locked = await readCustody(tx, move.serverId, true);
    const { destroyed } = dropped;
    const row =
      destroyed === null
        ? locked
        : (
            await stepCustody(
              tx,
              move.serverId,
              run.fence,
              [{ kind: 'heard', from: move.source, message: { kind: 'destroyed', epoch: destroyed } }],
              locked,
            )
          ).row;
    const latest = await tx.selectFrom('migration').selectAll().where('id', '=', move.moveId).forUpdate().executeTakeFirstOrThrow();
    const measures = { ...latest.measures, ...withoutNulls(measuresOf(source, arrived)) };
    const timeline = withReported(
      source === null ? latest.timeline : withReported(latest.timeline, 'source', source.timeline),
      'destination',
      arrived?.timeline ?? [],
    );
    // Custody may know of its end before: a QEMU that died with the take written down.
    const stands = now === 'stands' || arrived?.guestState === GuestState.IO_ERROR;
    const dead =
      fenced || rebooted || stands || now === 'ended' || row.holder.kind === 'nowhere' || (arrived !== null && arrivedDead(arrived));
    if (dead && row.holder.kind === 'host' && !stands) {
      await stepCustody(
        tx,
        move.serverId,
        run.fence,
        [{ kind: 'heard', from: destination, message: { kind: 'ended', epoch: row.holder.epoch } }],
        row,
      );
    }
    const vmState = dead
      ? rebooted || arrived?.guestState === GuestState.SHUTOFF
        ? 'stopped'
        : 'error'
      : move.grant_end_state === 'paused'
        ? 'paused'
        : 'active';
    await finishMove(tx, context, run, move, {
      phase: dead ? 'error' : 'completed',
      status: dead ? 'error' : 'completed',
      outcome: dead
        ? {
            cause: fenced || rebooted ? 'DestinationDown' : stands ? 'GuestDiskError' : 'GuestCrashedOnArrival',
            sentence: fenced
              ? `The guest reached the destination, which was fenced since: it can be started again from its disk${
                  copiedThere ? ', which is local to the destination, when that is back' : ''
                }, without what it had not written there.`
              : rebooted
                ? 'The guest reached the destination, which has rebooted since: it is off, and can be started there from its disk.'
                : stands
                  ? `The guest reached the destination; there ${arrived === null || arrived.detail === '' ? 'it stands still' : arrived.detail}.`
                  : `The guest reached the destination and ended there${arrived === null || arrived.detail === '' ? '.' : `: ${arrived.detail}`}`,
            runsOn: 'nowhere',
            evidence,
          }
        : {
            cause: null,
            sentence:
              now === 'unknown'
                ? 'The destination took the guest, and does not say how it fares since.'
                : 'The guest runs at the destination.',
            runsOn: now === 'unknown' ? 'unknown' : 'destination',
            evidence,
          },
      more: {
        ...(source === null ? {} : { ...counters(source), memory_remaining_bytes: 0 }),
        source_disks_left: copied !== null && !dropped.disksDeleted,
        measures: JSON.stringify(measures),
        timeline: JSON.stringify(timeline),
      },
      blackoutMs: measures.blackoutMs ?? null,
      locked: latest,
      // Its disk is everywhere; the destination is not.
      server: { hostId: fenced && !copiedThere ? move.source : destination, vmState },
    });
    // The record is terminal with this transaction: what the guest's own agent does from here on changes nothing of it.
    if (!dead && vmState === 'active' && machineHasGuestAgent(await readServer(tx, move.serverId)))
      await context.workflows.enqueue(tx, { kind: 'sync-guest-time', subjectId: move.moveId });
    if (dropped.failed) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: move.serverId });
    if (rebooted) await noteReboot(context, tx, await readServer(tx, move.serverId), destination, true);
  });
  return 'ended';
}

type Dropped = {
  readonly source: MigrationReport | null;
  readonly disksDeleted: boolean;
  /** Below which epoch the source has nothing of it any more; null: nothing was dropped. */
  readonly destroyed: Epoch | null;
  /** The source tried, and could not. */
  readonly failed: boolean;
};

/** The source's last account, then its copy is dropped under the new epoch, with the disks that are not needed any more. A null account: it does not answer. */
async function dropSource(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  evidence: string[],
  expendable: Promise<Guest | null> | null,
): Promise<Dropped> {
  const { db } = context;
  let report: MigrationReport | null = null;
  for (const deadline = Date.now() + DROP_PATIENCE_MS; ; ) {
    checkpoint(run);
    try {
      const client = await context.agents.client(move.source);
      const call = { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal };
      report ??= await client.getMigration({ migrationId: move.moveId }, call);
      const guest = await expendable;
      const remains = (await readCustody(db, move.serverId)).remains.find((one) => one.hostId === move.source);
      if (remains === undefined) return { source: report, disksDeleted: false, destroyed: null, failed: false };
      await client.dropOutgoing(
        {
          custody: wireCustody(move.serverId, remains.below, run.fence),
          migrationId: move.moveId,
          deleteDisks: guest !== null,
          ...(guest === null ? {} : { guest }),
          requestId: run.id,
        },
        call,
      );
      return { source: report, disksDeleted: guest !== null, destroyed: remains.below, failed: false };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline) {
        await run.pause(RETRY_MS);
        continue;
      }
      await noteRefusal(context, run, move.serverId, move.source, failure);
      evidence.push(`the source's copy was not dropped yet: ${failure.code}: ${failure.message}`);
      context.log.warn(
        { migration: move.moveId, host: move.source, code: failure.code, detail: failure.message },
        'the released copy at the source was not dropped yet; the source is told when it returns',
      );
      return { source: report, disksDeleted: false, destroyed: null, failed: failure.kind === 'failed' };
    }
  }
}

async function finishDestination(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  destination: HostId,
  epoch: ReturnType<typeof asEpoch>,
  evidence: string[],
): Promise<MigrationReport | null> {
  const deadline = Date.now() + PATIENCE_MS;
  for (;;) {
    checkpoint(run);
    try {
      const client = await context.agents.client(destination);
      const report = await client.finishIncoming(
        { custody: wireCustody(move.serverId, epoch, run.fence), migrationId: move.moveId, requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      if (!report.networkVerified) evidence.push('the network was not seen to follow the guest');
      return report;
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.kind === 'unreachable' && Date.now() < deadline && !(await isFenced(context.db, destination))) {
        await run.pause(RETRY_MS);
        continue;
      }
      evidence.push(`the destination did not finish: ${failure.code}: ${failure.message}`);
      return null;
    }
  }
}

/**
 * How the guest fares at a destination that took it, when it does not say so by itself: asked once, as every host is that is heard of again. `silent`: nobody answered. `unknown`: it did, and does not say.
 */
async function guestNow(
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  destination: HostId,
): Promise<'runs' | 'stands' | 'ended' | 'rebooted' | 'fenced' | 'silent' | 'unknown'> {
  if (await isFenced(context.db, destination)) {
    await applyFences(context, run, move.serverId);
    return 'fenced';
  }
  const { holder } = await readCustody(context.db, move.serverId);
  try {
    const client = await context.agents.client(destination);
    const { bootId, guests } = await client.listGuests({}, { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal });
    if (holder.kind === 'host' && holder.hostId === destination && holder.bootId !== bootId) return 'rebooted';
    switch (guests.find(({ serverId }) => serverId === move.serverId)?.state) {
      case GuestState.RUNNING:
      case GuestState.PAUSED:
        return 'runs';
      case GuestState.IO_ERROR:
        return 'stands';
      case GuestState.CRASHED:
      case GuestState.SHUTOFF:
        return 'ended';
      default:
        // A host's silence about a guest, in the same boot, is no word about its end.
        return 'unknown';
    }
  } catch (error) {
    checkpoint(run);
    const failure = agentFailure(error);
    if (failure.kind !== 'unreachable') return 'unknown';
    context.log.warn(
      { migration: move.moveId, host: destination, code: failure.code, detail: failure.message },
      'the destination took the guest, and does not answer: the move waits for it',
    );
    return 'silent';
  }
}

function withoutNulls<T extends object>(value: T): Partial<T> {
  return Object.fromEntries(Object.entries(value).filter(([, entry]) => entry !== null)) as Partial<T>;
}
