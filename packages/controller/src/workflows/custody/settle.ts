import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { commandsFor } from '@godwit/domain/custody/controller';
import type { ControllerEffect } from '@godwit/domain/custody/controller-event';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import type { Grant } from '@godwit/domain/custody/grant';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { type AgentFailure, agentFailure } from '../../agents/agent-error.ts';
import { letFencedHostBack } from '../../hosts/fence-host.ts';
import type { Db } from '../../store/database.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { wireGuest } from '../server/wire-guest.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { askBoot } from './ask-boot.ts';
import { readCustody, stepCustody } from './custody-store.ts';
import { noteRefusal } from './note-refusal.ts';
import { destinationMessages, sourceMessages } from './report-messages.ts';
import { wireCustody, wireGrant } from './wire-grant.ts';

/** How far the undoing or finishing of a custody operation came. */
export type Settled =
  | { readonly kind: 'settled'; readonly row: CustodyRow }
  /** The next step is this host's, and it does not answer, or answers that it cannot. */
  | { readonly kind: 'waiting'; readonly row: CustodyRow; readonly hostId: HostId; readonly why: string };

const RPC_TIMEOUT_MS = 30_000;
// A custody operation has fewer steps than this; more means that an agent keeps answering beside the question.
const STEPS = 24;

/**
 * Brings the server's custody operation to its end without starting anything new: backwards where a release has not been heard, forwards where it has. Each order is sent
 * as often as needed; what a host answers is written before the next order. On `waiting` nothing is lost: call it again later.
 * `deleteDisks`: a forfeiting destination also removes the disks that were made for it. `forgotten` is called in the transaction that ends a move whose destination has rebooted since
 * the source released to it: nobody can say whether it had taken.
 */
export async function settle(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  options: { readonly deleteDisks: boolean; readonly forgotten?: (tx: Db) => Promise<void> },
): Promise<Settled> {
  for (let step = 0; ; step++) {
    checkpoint(run);
    const row = await readCustody(context.db, serverId);
    if (row.operation === null) return { kind: 'settled', row };
    if (row.operation.kind === 'recovery') {
      return {
        kind: 'waiting',
        row,
        hostId: row.operation.waitingFor[0] ?? hostOf(row),
        why: 'the database is older than the hosts, and not every host has reported',
      };
    }
    const effect = commandsFor({ ...row, remains: [] })[0];
    if (effect === undefined || effect.kind === 'refuse' || step >= STEPS)
      return { kind: 'waiting', row, hostId: hostOf(row), why: 'the custody of the server makes no progress' };
    let messages: readonly HostMessage[];
    try {
      messages = await perform(context, run, serverId, row, effect, options.deleteDisks);
    } catch (error) {
      const failure = agentFailure(error);
      if (run.signal.aborted) checkpoint(run);
      if (failure.code === 'custody-fence-low') await noteRefusal(context, run, serverId, effect.to, failure);
      return { kind: 'waiting', row, hostId: effect.to, why: failure.message };
    }
    if (messages.length === 0) return { kind: 'waiting', row, hostId: effect.to, why: 'the host has not decided yet' };
    const { operation } = row;
    await context.db.transaction().execute(async (tx) => {
      const events = messages.map((message) => ({ kind: 'heard', from: effect.to, message }) as const);
      const after = (await stepCustody(tx, serverId, run.fence, events)).row;
      if (operation.kind !== 'move' || after.operation !== null || !messages.some((one) => forgot(one, operation.grant))) return;
      if (after.holder.kind === 'nowhere' && operation.source === 'completed') await options.forgotten?.(tx);
    });
    await context.faultPoint(`settle:${effect.kind === 'command' ? effect.command.kind : effect.kind}`);
  }
}

/** Another boot than the granted one says that it does not know. */
const forgot = (message: HostMessage, grant: Grant): boolean => message.kind === 'unknown' && message.bootId !== grant.bootId;

/** A host that may still have a superseded copy, and why: one that tried and could not, or refused; whoever does not answer is told again when it returns. */
export type Uncleared = { readonly hostId: HostId; readonly failure: AgentFailure };

/** Destroys what superseded copies hosts may still have. Hosts that did not keep their entry. */
export async function clearRemains(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<readonly Uncleared[]> {
  const row = await readCustody(context.db, serverId);
  const left: Uncleared[] = [];
  for (const { hostId, below } of row.remains) {
    try {
      const client = await context.agents.client(hostId);
      await client.supersede(
        { custody: wireCustody(serverId, below, run.fence), requestId: run.id },
        { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal },
      );
      await context.db.transaction().execute(async (tx) => {
        await stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from: hostId, message: { kind: 'destroyed', epoch: below } }]);
        await letFencedHostBack(tx, hostId);
      });
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      context.log.warn(
        { server: serverId, host: hostId, code: failure.code, detail: failure.message },
        'what a host may still have of a server was not cleared yet',
      );
      await noteRefusal(context, run, serverId, hostId, failure);
      left.push({ hostId, failure });
    }
  }
  return left;
}

async function perform(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  row: CustodyRow,
  effect: ControllerEffect,
  deleteDisks: boolean,
): Promise<readonly HostMessage[]> {
  if (effect.kind === 'refuse') return [];
  const client = await context.agents.client(effect.to);
  const call = { timeoutMs: RPC_TIMEOUT_MS, signal: run.signal };
  const grant = grantOf(row);
  if (effect.kind === 'relay') {
    const { release } = effect;
    const record = await context.db.selectFrom('migration').select('release').where('id', '=', release.migrationId).executeTakeFirst();
    const heard = (record?.release ?? {}) as { readonly stoppedAtMs?: number; readonly completedAtMs?: number };
    const report = await client.relayRelease(
      {
        release: {
          serverId,
          migrationId: release.migrationId,
          sourceHostId: release.source,
          destinationHostId: release.destination,
          epoch: BigInt(release.epoch),
          stoppedAtMs: heard.stoppedAtMs ?? 0,
          completedAtMs: heard.completedAtMs ?? 0,
        },
        fence: BigInt(run.fence),
      },
      call,
    );
    return destinationMessages(report, release.epoch);
  }
  const { command } = effect;
  switch (command.kind) {
    case 'disarm': {
      if (grant === null) return [];
      const report = await client.cancelOutgoing({ grant: wireGrant(grant, run.fence), requestId: run.id }, call);
      return sourceMessages(report, grant, row);
    }
    case 'forfeit': {
      if (grant === null) return [];
      const answer = await client.forfeitIncoming(
        {
          grant: wireGrant(grant, run.fence),
          deleteDisks,
          ...(deleteDisks ? { guest: await wireGuest(context.db, serverId) } : {}),
          requestId: run.id,
        },
        call,
      );
      switch (answer.answer) {
        case TakeAnswer.HAS_NOT_AND_FORFEITS:
          return [{ kind: 'forfeited', epoch: command.epoch }];
        case TakeAnswer.TOOK_ALIVE:
          return [{ kind: 'took', epoch: command.epoch, alive: true }];
        case TakeAnswer.TOOK_DEAD:
          return [{ kind: 'took', epoch: command.epoch, alive: false }];
        default:
          return [{ kind: 'unknown', epoch: command.epoch, bootId: await askBoot(context, effect.to, run.signal) }];
      }
    }
    case 'destroy':
      await client.destroyGuest(
        {
          custody: wireCustody(serverId, command.epoch, run.fence),
          deleteDisks,
          ...(deleteDisks ? { guest: await wireGuest(context.db, serverId) } : {}),
          requestId: run.id,
        },
        call,
      );
      return [{ kind: 'destroyed', epoch: command.epoch }];
    case 'resume': {
      if (grant === null || row.holder.kind !== 'host') return [];
      const report = await client.resumeOutgoing({ grant: wireGrant(grant, run.fence), requestId: run.id }, call);
      if (report.guestState === GuestState.RUNNING || report.guestState === GuestState.PAUSED)
        return [{ kind: 'resumed', epoch: command.epoch, forfeited: command.forfeited }];
      const gone = report.guestState === GuestState.CRASHED || report.guestState === GuestState.SHUTOFF;
      return gone ? [{ kind: 'ended', epoch: row.holder.epoch }] : [];
    }
    default:
      // Forward orders (grant, launch, arm, migrate) belong to the workflow that began them, which aborts before it settles.
      throw new Error(`custody asks for ${command.kind}, which settling does not give`);
  }
}

export function grantOf(row: CustodyRow): Grant | null {
  return row.operation?.kind === 'move' || row.operation?.kind === 'start' ? row.operation.grant : null;
}

function hostOf(row: CustodyRow): HostId {
  const grant = grantOf(row);
  return grant?.source ?? grant?.destination ?? (row.holder.kind === 'nowhere' ? as<HostId>('') : row.holder.hostId);
}
