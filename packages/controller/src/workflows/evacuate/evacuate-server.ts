import { as, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { noValidHostMessage } from '@godwit/domain/scheduling/no-valid-host';
import { isFenced } from '../../hosts/fence-host.ts';
import { switchHost } from '../cold-migrate/switch-host.ts';
import { applyFences } from '../custody/apply-fences.ts';
import { readCustody, stepCustody, takeCharge } from '../custody/custody-store.ts';
import { settle } from '../custody/settle.ts';
import { finishMove, type MoveEnd } from '../live-migrate/finish-move.ts';
import { advance, type Move, readMove, takeMove } from '../live-migrate/move.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import { claimMove, place, unclaimMove } from '../scheduling/claim.ts';
import { writeServer } from '../server/server-record.ts';
import { startGuest } from '../server/start-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const SCHEDULED = 'conductor_rebuild_server';
const REBUILT = 'compute_rebuild_instance';
const RETRY_MS = 2_000;
const PATIENCE_MS = 15_000;
/** Destinations that are tried before it is given up. */
const HOSTS_TRIED = 3;

type Policy = { readonly excludedHosts?: readonly { readonly id: string; readonly reason: string }[] };
const excludedHosts = (move: Move): readonly { readonly id: HostId; readonly reason: string }[] =>
  ((move.policy as Policy).excludedHosts ?? []).map(({ id, reason }) => ({ id: as<HostId>(id), reason }));

/**
 * Restarts a server of a fenced host from its disk, elsewhere, under a new grant: accepted → starting → completed. When it returns, the record is terminal, and the server runs at its destination (or is
 * stopped there, as it was), or is in error where it was with the cause; or another executor is in charge (Fenced). What the dead host still has is killed when it returns: custody remembers.
 */
export async function evacuateServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const moveId = as<MigrationId>(run.subjectId);
  const input = run.input as unknown as { readonly serverId: string; readonly actionId: number };
  const serverId = as<ServerId>(input.serverId);
  // A delete, once accepted, has the server from then on.
  if (!(await takeCharge(db, serverId, run.fence, ['rebuilding', 'rebuild_spawning']))) return;
  await takeMove(db, moveId, run);
  for (;;) {
    checkpoint(run);
    const move = await readMove(db, moveId);
    if (move.finished_at !== null) return;
    await context.faultPoint(`evacuate:${move.phase}`);
    if (move.phase === 'starting') await start(context, run, move, input.actionId);
    else await schedule(context, run, move, input.actionId);
  }
}

/** accepted → starting. The guest is nowhere by custody; host, claim and verdicts are one transaction. */
async function schedule(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number): Promise<void> {
  if (!(await isNowhere(context, run, move, actionId))) return;
  await context.db.transaction().execute(async (tx) => {
    await beginEvent(tx, actionId, SCHEDULED, null);
    const placement = await place(tx, move.serverId, {
      kind: 'evacuation',
      requestedHost: move.requested_host,
      copiesLocalDisks: false,
      excludedHosts: excludedHosts(move),
      ratios: context.config,
      hosts: context.hosts,
      seed: run.fence,
    });
    if (placement.kind === 'no-valid-host') {
      await finishMove(tx, context, run, move, {
        ...notMoved(move, 'NoValidHost', `NoValidHost: ${noValidHostMessage('evacuation')}`, [
          ...excludedHosts(move).map(({ reason }) => reason),
          placement.details,
        ]),
        more: { verdicts: JSON.stringify(placement.verdicts) },
        event: { action: actionId, name: SCHEDULED },
      });
      return;
    }
    await claimMove(tx, move, placement.host.id, placement.demand);
    const claimed: Move = { ...move, destination_host_id: placement.host.id };
    await switchHost(tx, run, claimed, 'destination', 'rebuild_spawning');
    await advance(tx, run, claimed, 'starting', 'pre-migrating', {
      destination_host_id: placement.host.id,
      verdicts: JSON.stringify(placement.verdicts),
    });
    await finishEvent(tx, actionId, SCHEDULED, { ok: true, details: placement.details });
    await beginEvent(tx, actionId, REBUILT, placement.host.id);
  });
}

/** Whether no copy of the guest is left that may run. Where one may, nothing is started: the record waits, or ends with that. */
async function isNowhere(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number): Promise<boolean> {
  await applyFences(context, run, move.serverId);
  await giveUpMemory(context, run, move.serverId);
  const row = await readCustody(context.db, move.serverId);
  if (row.operation === null && row.holder.kind === 'nowhere' && !row.behind) return true;
  if (row.operation !== null && row.operation.kind !== 'recovery') {
    const { operation } = row;
    if (operation.kind === 'start' && operation.step !== 'forfeiting')
      await context.db.transaction().execute((tx) => stepCustody(tx, move.serverId, run.fence, [{ kind: 'abort' }]));
    await settle(context, run, move.serverId, { deleteDisks: false });
    const after = await readCustody(context.db, move.serverId);
    if (after.operation === null && after.holder.kind === 'nowhere') return true;
  }
  await context.db.transaction().execute((tx) =>
    finishMove(tx, context, run, move, {
      ...notMoved(
        move,
        'CustodyUnknown',
        row.holder.kind !== 'nowhere' && row.holder.hostId === move.source
          ? 'Its host is no longer fenced, and may run it.'
          : 'Whether another copy of it runs is not known.',
        [],
      ),
      event: { action: actionId, name: SCHEDULED },
    }),
  );
  return false;
}

/** A memory that is kept on a fenced host is not waited for when the server is to start from its disk elsewhere: it is cleared away there when the host is back. */
async function giveUpMemory(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<void> {
  const { holder, operation, behind } = await readCustody(context.db, serverId);
  if (holder.kind !== 'suspended' || operation !== null || behind || !(await isFenced(context.db, holder.hostId))) return;
  await context.db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'destroy' }]));
  await applyFences(context, run, serverId);
}

/** starting → completed. A guest that was stopped stays so. A destination that cannot start it is given back, and another is chosen. */
async function start(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number): Promise<void> {
  const { db } = context;
  const destination = as<HostId>(move.destination_host_id ?? '');
  if (move.previous_vm_state === 'stopped') {
    await db.transaction().execute((tx) =>
      finishMove(tx, context, run, move, {
        phase: 'completed',
        status: 'done',
        outcome: {
          cause: null,
          sentence: 'The stopped server belongs to its new host; it can be started there.',
          runsOn: 'nowhere',
          evidence: [],
        },
        server: { hostId: destination, vmState: 'stopped' },
        event: { action: actionId, name: REBUILT },
      }),
    );
    return;
  }
  const outcome = await startGuest(context, run, move.serverId, destination, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
  if (outcome.kind === 'unknown') {
    // It waits for that host, or until it is fenced too.
    context.log.warn({ migration: move.moveId, host: destination, why: outcome.why }, 'an evacuation waits for its destination');
    await applyFences(context, run, move.serverId);
    await run.pause(RETRY_MS);
    return;
  }
  await context.faultPoint('evacuate:started');
  await db.transaction().execute(async (tx) => {
    if (outcome.kind === 'running') {
      const { epoch } = await tx.selectFrom('server').select('epoch').where('id', '=', move.serverId).executeTakeFirstOrThrow();
      await writeServer(tx, run, move.serverId, { fault: null });
      await finishMove(tx, context, run, move, {
        phase: 'completed',
        status: 'done',
        outcome: {
          cause: null,
          sentence: 'The guest was restarted from its disk; what it had not written there is lost.',
          runsOn: 'destination',
          evidence: [],
        },
        more: { epoch_to: epoch },
        server: { hostId: destination, vmState: 'active' },
        event: { action: actionId, name: REBUILT },
      });
      return;
    }
    const excluded = [
      ...excludedHosts(move),
      { id: destination, reason: `it failed to start the server: ${outcome.code}: ${outcome.why}` },
    ];
    await switchHost(tx, run, move, 'source', 'rebuilding');
    await unclaimMove(tx, move, destination);
    await finishEvent(tx, actionId, REBUILT, { ok: false, details: outcome.why });
    if (excluded.length >= HOSTS_TRIED || move.requested_host !== null) {
      await finishMove(tx, context, run, move, {
        ...notMoved(
          move,
          'StartFailed',
          'The guest could not be started elsewhere.',
          excluded.map(({ reason }) => reason),
        ),
        event: null,
      });
      return;
    }
    await advance(tx, run, move, 'scheduling', 'accepted', {
      destination_host_id: null,
      policy: JSON.stringify({ ...(move.policy as Policy), excludedHosts: excluded } satisfies Policy),
    });
  });
}

/** The end of an evacuation that has moved nothing. The guest runs nowhere: its host is dead. */
const notMoved = (
  move: Move,
  cause: 'NoValidHost' | 'CustodyUnknown' | 'StartFailed',
  sentence: string,
  evidence: readonly string[],
): Omit<MoveEnd, 'event'> => ({
  phase: 'error',
  status: 'error',
  outcome: { cause, sentence, runsOn: cause === 'CustodyUnknown' ? 'unknown' : 'nowhere', evidence },
  server: { hostId: move.source, vmState: move.previous_vm_state === 'stopped' ? 'stopped' : 'error' },
});
