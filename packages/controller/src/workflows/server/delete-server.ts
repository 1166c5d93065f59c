import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { releasePorts } from '../../networks/allocate-ports.ts';
import { clearSide } from '../cold-migrate/local-disks.ts';
import { readCustody, stepCustody, takeCharge } from '../custody/custody-store.ts';
import { clearRemains, settle } from '../custody/settle.ts';
import { clearCopiedDisks } from '../live-migrate/clear-copied-disks.ts';
import { endMigration } from '../live-migrate/end-migration.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { answers, removeDisks } from './remove-disks.ts';
import { readServer, writeServer } from './server-record.ts';
import { forgetShelvedImage, removeLeftDisks } from './shelved-disk.ts';

const EVENT = 'compute_terminate_instance';
/** After this a server whose host does not answer is deleted all the same; what the host has of it is destroyed when it returns. */
const PATIENCE_MS = 10_000;
const RETRY_MS = 500;

/**
 * Deletes a server in whatever it is doing. A move is undone, or finished where it has been released; then an epoch granted to nobody is burned and every copy below it
 * destroyed, disks included. Row, ledger, ports and an unfinished migration end in one transaction.
 */
export async function deleteServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const { actionId } = run.input as unknown as { readonly actionId: number };
  if (!(await takeCharge(db, serverId, run.fence, ['deleting']))) return;
  await beginEvent(db, actionId, EVENT, (await readServer(db, serverId)).host_id);
  const deadline = Date.now() + Math.max(0, PATIENCE_MS - (Date.now() - run.createdAt.getTime()));
  let unanswered: string | null = null;

  for (;;) {
    checkpoint(run);
    const row = await readCustody(db, serverId);
    if (row.operation !== null) {
      // After the release there is only forward: the guest arrives first and is destroyed there.
      const forward = row.operation.kind === 'move' && row.operation.step === 'releasing';
      if (!forward && (row.operation.kind === 'move' || row.operation.kind === 'start')) {
        await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'abort' }]));
      }
      const settled = await settle(context, run, serverId, { deleteDisks: false });
      if (settled.kind === 'settled') continue;
      unanswered = settled.why;
    } else if (row.holder.kind !== 'nowhere') {
      await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'destroy' }]));
      await context.faultPoint('delete:burned');
      continue;
    } else {
      break;
    }
    if (Date.now() > deadline) break;
    await run.pause(RETRY_MS);
  }
  if (unanswered !== null)
    context.log.warn(
      { server: serverId, why: unanswered },
      'a server is deleted though its host does not answer; the host is told when it returns',
    );
  // First the copies elsewhere: they are named by the same rows.
  const copiesGone = await clearCopiedDisks(context, run, serverId);
  const ownGone = await removeDisks(context, run, serverId);
  const disksGone = ownGone && copiesGone;
  const { shelved, host_id: home } = await readServer(db, serverId);
  if (shelved !== null && home !== null) await removeLeftDisks(context, run, serverId, as<HostId>(home), shelved);
  await clearRemains(context, run, serverId);
  await forgetOtherSide(context, run, serverId);
  await context.faultPoint('delete:destroyed');

  await db.transaction().execute(async (tx) => {
    const open = await tx
      .selectFrom('migration')
      .select(['id', 'phase'])
      .where('server_id', '=', serverId)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    if (open?.phase === 'finished' || open?.phase === 'confirming') {
      await endMigration(tx, context, open.id, {
        phase: 'confirmed',
        status: 'confirmed',
        outcome: { cause: null, sentence: 'The server was deleted, which confirms the move first.', runsOn: 'nowhere', evidence: [] },
      });
    } else if (open !== undefined) {
      await endMigration(tx, context, open.id, {
        phase: 'cancelled',
        status: 'cancelled',
        outcome: { cause: 'ServerDeleted', sentence: 'The server was deleted during the migration.', runsOn: 'nowhere', evidence: [] },
      });
    }
    await tx.deleteFrom('allocation').where('server_id', '=', serverId).execute();
    await releasePorts(tx, serverId);
    await forgetShelvedImage(tx, shelved);
    if (disksGone) await tx.deleteFrom('disk').where('server_id', '=', serverId).execute();
    // A host that is there may not be done yet, or may do it the next time; one that is away is told when it returns.
    if (!ownGone && (await answers(tx, home))) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: serverId });
    const now = new Date();
    await writeServer(tx, run, serverId, { vm_state: 'deleted', task_state: null, power_state: 0, deleted_at: now, terminated_at: now });
    await finishEvent(tx, actionId, EVENT, { ok: true });
  });
}

/** The other side of a move that has not ended: of a cold one it remembers a stopped copy, and it has copies of local disks. */
async function forgetOtherSide(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<void> {
  const { host_id } = await readServer(context.db, serverId);
  const move = await context.db
    .selectFrom('migration')
    .select(['source_host_id', 'destination_host_id'])
    .where('server_id', '=', serverId)
    .where('finished_at', 'is', null)
    .where('type', 'in', ['migration', 'resize', 'live-migration'])
    .executeTakeFirst();
  for (const hostId of [move?.source_host_id, move?.destination_host_id])
    if (hostId != null && hostId !== host_id) await clearSide(context, run, serverId, as<HostId>(hostId));
}
