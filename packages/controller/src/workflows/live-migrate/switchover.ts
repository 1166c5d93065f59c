import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import { as, type HostId } from '@godwit/domain/ids';
import { agentFailure } from '../../agents/agent-error.ts';
import { isFenced } from '../../hosts/fence-host.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { destinationMessages } from '../custody/report-messages.ts';
import { settle } from '../custody/settle.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { localGuest } from '../server/local-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { afterSettled, destinationForgot, giveUp } from './give-up.ts';
import { measuresOf } from './measures.ts';
import { advance, type Move } from './move.ts';
import { wakeWaiting } from './queue.ts';

const AWAIT_MS = 2_000;
const RETRY_MS = 250;

/**
 * switchover → committing. The source has released: from here on there is only forward, unless the destination proves that it has not taken. The source tells the destination
 * itself; when that is late, the release is relayed. Undo: none.
 */
export async function switchOver(context: WorkflowContext, run: WorkflowRun, move: Move): Promise<void> {
  const { db } = context;
  const destination = as<HostId>(move.destination_host_id ?? '');
  for (let attempt = 0; ; attempt++) {
    checkpoint(run);
    const row = await readCustody(db, move.serverId);
    if (row.operation === null) return afterSettled(context, run, move, row);
    if (await isFenced(db, destination)) {
      // The source's memory is not resumed for it: the destination may have run the guest before.
      const copied = move.block_migration !== 'false' && (await localGuest(db, move.serverId)) !== null;
      await giveUp(
        context,
        run,
        move,
        {
          cause: 'DestinationDown',
          sentence: copied
            ? 'The destination was fenced after the source had released the guest: it can be started again from its local disks at the source, as they were when it stopped there, without what it may have written at the destination since.'
            : 'The destination was fenced after the source had released the guest: it can be started again from its disk, without what it had not written there.',
          phase: 'error',
          evidence: [],
        },
        { afterRelease: true },
      );
      return;
    }
    try {
      const client = await context.agents.client(destination);
      let report: MigrationReport = await client.awaitMigration(
        { migrationId: move.moveId, knownState: '', waitMs: 0n },
        { timeoutMs: 5_000, signal: run.signal },
      );
      if (attempt === 0) {
        for (const deadline = Date.now() + AWAIT_MS; waiting(report.state) && Date.now() < deadline; ) {
          report = await client.awaitMigration(
            { migrationId: move.moveId, knownState: report.state, waitMs: BigInt(AWAIT_MS) },
            { timeoutMs: AWAIT_MS + 5_000, signal: run.signal },
          );
        }
      }
      const known = report;
      const epoch = row.operation.kind === 'move' ? row.operation.grant.epoch : row.epoch;
      const messages = destinationMessages(known, epoch);
      if (messages.length === 0 && known.state === 'died') {
        const bootId = await askBoot(context, destination, run.signal);
        const rebooted = row.operation.kind === 'move' && row.operation.grant.bootId !== bootId;
        const evidence = known.detail === '' ? [] : [known.detail];
        await giveUp(
          context,
          run,
          move,
          rebooted
            ? destinationForgot(evidence)
            : // Its QEMU ended between the release and the take. Only its forfeit lets the source run again.
              {
                cause: 'DestinationDied',
                sentence: "The destination's QEMU ended before it could take the guest.",
                phase: 'failed',
                evidence,
              },
          { afterRelease: true },
        );
        return;
      }
      if (messages.length > 0) {
        await context.faultPoint('switchover:taken');
        const after = await db.transaction().execute(async (tx) => {
          const { row: next } = await stepCustody(
            tx,
            move.serverId,
            run.fence,
            messages.map((message) => ({ kind: 'heard', from: destination, message }) as const),
          );
          if (next.holder.kind === 'host' && next.holder.hostId === destination)
            await advance(tx, run, move, 'committing', 'running', {
              measures: JSON.stringify({ ...move.measures, ...measuresOf(null, known) }),
            });
          await wakeWaiting(tx, context.workflows);
          return next;
        });
        if (after.operation === null && !(after.holder.kind === 'host' && after.holder.hostId === destination))
          return afterSettled(context, run, move, after);
        return;
      }
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      context.log.warn(
        { migration: move.moveId, host: destination, code: failure.code, detail: failure.message },
        'the destination was not heard of after the release',
      );
    }
    // The release again, by us: the source may have died after it told us.
    const settled = await settle(context, run, move.serverId, { deleteDisks: false });
    if (settled.kind === 'settled') return afterSettled(context, run, move, settled.row);
    await run.pause(RETRY_MS);
  }
}

const waiting = (state: string): boolean => state === 'preparing' || state === 'listening' || state === 'loaded' || state === 'taking';

/** Whether a destination's account shows a guest that does not live. */
export function arrivedDead(report: MigrationReport): boolean {
  return report.guestState === GuestState.CRASHED || report.guestState === GuestState.SHUTOFF || report.guestState === GuestState.IO_ERROR;
}
