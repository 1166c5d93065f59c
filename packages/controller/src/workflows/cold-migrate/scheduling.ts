import { as, type HostId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import { noValidHostMessage } from '@godwit/domain/scheduling/no-valid-host';
import type { Db } from '../../store/database.ts';
import { finishMove } from '../live-migrate/finish-move.ts';
import { advance, type Move } from '../live-migrate/move.ts';
import type { WorkflowRun } from '../port.ts';
import { finishEvent } from '../record/actions.ts';
import { claimMove, place } from '../scheduling/claim.ts';
import { serverFault } from '../server/fault.ts';
import { writeServer } from '../server/server-record.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { begin, type ColdEvent, endsWith } from './events.ts';

const EVENT = 'conductor_migrate_server';

/** Hosts that failed before anything was changed, kept in the record so that no executor asks them again. */
export type ColdPolicy = { readonly excludedHosts?: readonly { readonly id: string; readonly reason: string }[] };
export const excludedHosts = (move: Move): readonly { readonly id: HostId; readonly reason: string }[] =>
  ((move.policy as ColdPolicy).excludedHosts ?? []).map(({ id, reason }) => ({ id: as<HostId>(id), reason }));

/** accepted, scheduling → preparing. Host, claim and verdicts are one transaction: both sides are held from then on. No host: the record ends `error`, nothing has changed. */
export async function schedule(context: WorkflowContext, run: WorkflowRun, move: Move, actionId: number | null): Promise<void> {
  const kind = move.type === 'resize' ? 'resize' : 'migration';
  await context.db.transaction().execute(async (tx) => {
    await begin(tx, actionId, EVENT, null);
    const placement = await place(tx, move.serverId, {
      kind,
      requestedHost: move.requested_host,
      copiesLocalDisks: true,
      excludedHosts: excludedHosts(move),
      ratios: context.config,
      hosts: context.hosts,
      seed: run.fence,
      ...(move.new_flavor === null ? {} : { flavor: move.new_flavor }),
    });
    if (placement.kind === 'no-valid-host') {
      await endUnchanged(tx, context, run, move, actionId, EVENT, {
        cause: 'NoValidHost',
        sentence: noValidHostMessage(kind),
        details: placement.details,
        verdicts: JSON.stringify(placement.verdicts),
      });
      return;
    }
    await claimMove(tx, move, placement.host.id, placement.demand);
    await advance(tx, run, move, 'preparing', 'pre-migrating', {
      destination_host_id: placement.host.id,
      verdicts: JSON.stringify(placement.verdicts),
    });
    if (actionId !== null) await finishEvent(tx, actionId, EVENT, { ok: true, details: placement.details });
    await begin(tx, actionId, 'compute_prep_resize', placement.host.id);
  });
}

/** Why a move ends before anything was changed. */
export type Refused = { readonly cause: MigrationCause; readonly sentence: string; readonly details: string; readonly verdicts?: string };

/** Ends a move that has changed nothing: record `error`, the server as it was, the fault kept for those who ask. Inside the caller's transaction. */
export async function endUnchanged(
  tx: Db,
  context: WorkflowContext,
  run: WorkflowRun,
  move: Move,
  actionId: number | null,
  event: ColdEvent,
  why: Refused,
): Promise<void> {
  await writeServer(tx, run, move.serverId, { fault: serverFault(why.sentence, why.details) });
  await finishMove(tx, context, run, move, {
    phase: 'error',
    status: 'error',
    outcome: {
      cause: why.cause,
      sentence: why.sentence,
      runsOn: move.previous_vm_state === 'active' ? 'source' : 'nowhere',
      evidence: [why.details],
    },
    ...(why.verdicts === undefined ? {} : { more: { verdicts: why.verdicts } }),
    server: { hostId: move.source, vmState: move.previous_vm_state },
    event: endsWith(actionId, event),
  });
}
