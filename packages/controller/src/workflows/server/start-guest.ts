import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import type { Grant } from '@godwit/domain/custody/grant';
import { REFUSALS } from '@godwit/domain/custody/refusal';
import { GodwitError } from '@godwit/domain/errors';
import type { BootId, HostId, ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { agentFailure } from '../../agents/agent-error.ts';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { clearRemains, settle } from '../custody/settle.ts';
import { wireGrant } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { guestToRun } from './guest-to-run.ts';
import { toldGuestAgent } from './machine-guest-agent.ts';
import { memoryGone } from './memory-gone.ts';
import { wireGuest } from './wire-guest.ts';
import { writeConfigDrive } from './write-config-drive.ts';

export type StartOutcome =
  | { readonly kind: 'running'; readonly report: GuestReport }
  /** The grant is forfeited: nothing runs, and it may be tried elsewhere. */
  | { readonly kind: 'failed'; readonly code: string; readonly why: string }
  /** Nobody knows whether it runs: the host does not answer. The custody operation stays open and is settled when it returns. */
  | { readonly kind: 'unknown'; readonly why: string };

// Disks are made and images fetched inside this call.
const START_TIMEOUT_MS = 600_000;
const RETRY_MS = 500;

/**
 * Starts a guest on a host under a new grant, or continues a start that a run before has begun. Every start goes through here (custody rule 0). Keeps asking a host
 * that does not answer for `patienceMs`.
 */
export async function startGuest(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  options: {
    readonly deleteDisksOnFailure: boolean;
    readonly patienceMs: number;
    /** From its saved memory, if it has one: it goes on where it was suspended, or still is when this fails. Else such a server is not started. */
    readonly resumes?: boolean;
  },
): Promise<StartOutcome> {
  const deadline = Date.now() + options.patienceMs;
  let why = 'the host does not answer';
  for (;;) {
    checkpoint(run);
    const row = await readCustody(context.db, serverId);
    let grant: Grant;
    if (row.operation?.kind === 'start' && row.operation.step !== 'forfeiting') {
      grant = row.operation.grant;
    } else if (row.operation?.kind === 'recovery' || row.behind) {
      return { kind: 'failed', code: 'CustodyRefused', why: REFUSALS['custody-recovering'] };
    } else if (row.operation !== null) {
      const settled = await settle(context, run, serverId, { deleteDisks: options.deleteDisksOnFailure });
      if (settled.kind === 'settled') continue;
      why = settled.why;
      if (Date.now() > deadline) return { kind: 'unknown', why };
      await run.pause(RETRY_MS);
      continue;
    } else if (row.holder.kind === 'host') {
      // A run before has started it and was stopped before it could say so.
      const client = await context.agents.client(row.holder.hostId);
      const { guests } = await client.listGuests({}, { timeoutMs: 10_000, signal: run.signal });
      const report = guests.find((guest) => guest.serverId === serverId);
      const hasEnded = report?.state === GuestState.SHUTOFF || report?.state === GuestState.CRASHED;
      if (report !== undefined && !hasEnded) {
        await noteMachine(context.db, serverId, report);
        return { kind: 'running', report };
      }
      if (report === undefined) {
        // Silence about a copy that was taken there proves nothing: a start elsewhere could make a second one.
        why = 'the host that holds the guest does not mention it';
        if (Date.now() > deadline) return { kind: 'unknown', why };
        await run.pause(RETRY_MS);
        continue;
      }
      const epoch = row.holder.epoch;
      const from = row.holder.hostId;
      await context.db
        .transaction()
        .execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from, message: { kind: 'ended', epoch } }]));
      continue;
    } else if (row.holder.kind === 'suspended' && options.resumes !== true) {
      return { kind: 'failed', code: 'CustodyRefused', why: REFUSALS['custody-not-stopped'] };
    } else if (row.holder.kind === 'nowhere' && options.resumes === true) {
      return { kind: 'failed', code: 'SavedMemoryUnusable', why: memoryGone };
    } else {
      const { holder } = row;
      const host = await context.db.selectFrom('host').select(['name', 'fenced_at']).where('id', '=', hostId).executeTakeFirst();
      if (host !== undefined && host.fenced_at !== null) {
        // It may just have come back, and be compared.
        if (Date.now() > deadline) return { kind: 'failed', code: 'AgentUnreachable', why: `host ${host.name} is fenced` };
        await run.pause(RETRY_MS);
        continue;
      }
      const left = row.remains.some((one) => one.hostId === hostId)
        ? (await clearRemains(context, run, serverId)).find((one) => one.hostId === hostId)
        : undefined;
      if (left !== undefined) {
        const { kind, code, message } = left.failure;
        if (Date.now() > deadline)
          return kind === 'unreachable'
            ? { kind: 'failed', code: 'AgentUnreachable', why: 'the host has not yet cleared an earlier copy, and does not answer' }
            : { kind: 'failed', code, why: `the host has not yet cleared an earlier copy: ${message}` };
        await run.pause(RETRY_MS);
        continue;
      }
      let bootId: BootId;
      try {
        bootId = await askBoot(context, hostId, run.signal);
      } catch (error) {
        checkpoint(run);
        const { kind, code, message } = agentFailure(error);
        if (kind === 'unreachable' && Date.now() <= deadline) {
          await run.pause(RETRY_MS);
          continue;
        }
        // Nothing is granted to who does not answer: nothing is in doubt, and another host may be tried.
        return kind === 'unreachable'
          ? { kind: 'failed', code: 'AgentUnreachable', why: `the host does not answer: ${message}` }
          : { kind: 'failed', code, why: message };
      }
      try {
        const begun = await context.db.transaction().execute((tx) =>
          stepCustody(tx, serverId, run.fence, [
            {
              kind: 'beginStart',
              destination: hostId,
              bootId,
              endState: 'running',
              ...(holder.kind === 'suspended' && { memory: holder.epoch }),
            },
          ]),
        );
        if (begun.row.operation?.kind !== 'start') throw new Error('custody began no start');
        grant = begun.row.operation.grant;
      } catch (error) {
        if (error instanceof GodwitError && error.code === 'CustodyRefused')
          return { kind: 'failed', code: error.code, why: error.message };
        throw error;
      }
      await context.faultPoint('start:granted');
    }
    try {
      const client = await context.agents.client(grant.destination);
      await writeConfigDrive(context.db, serverId);
      const asIs = grant.memory === undefined ? 'asked' : 'running';
      const guest = await guestToRun(context.db, await wireGuest(context.db, serverId, asIs), grant.destination);
      const report = await client.startGuest(
        { grant: wireGrant(grant, run.fence), guest, requestId: run.id },
        { timeoutMs: START_TIMEOUT_MS, signal: run.signal },
      );
      const alive = report.state === GuestState.RUNNING || report.state === GuestState.PAUSED;
      await context.faultPoint('start:answered');
      await context.db.transaction().execute(async (tx) => {
        await stepCustody(tx, serverId, run.fence, [
          { kind: 'heard', from: grant.destination, message: { kind: 'granted', epoch: grant.epoch } },
          { kind: 'heard', from: grant.destination, message: { kind: 'took', epoch: grant.epoch, alive } },
        ]);
        if (alive) await noteMachine(tx, serverId, report);
      });
      return alive
        ? { kind: 'running', report }
        : { kind: 'failed', code: 'GuestCrashed', why: report.detail === '' ? 'the guest ended at once' : report.detail };
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      // A memory that is being loaded is not given up for a call that found another one there: that may be an earlier run's, of this same grant.
      const isBusy = options.resumes === true && failure.code === 'Conflict';
      if (failure.kind === 'unreachable' || isBusy) {
        why = failure.message;
        if (Date.now() <= deadline) {
          await run.pause(RETRY_MS);
          continue;
        }
      }
      await noteRefusal(context, run, serverId, grant.destination, failure);
      await context.db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'abort' }]));
      const again = failure.code === 'custody-boot-changed' && Date.now() <= deadline;
      const settled = await settle(context, run, serverId, { deleteDisks: options.deleteDisksOnFailure });
      if (settled.kind === 'waiting') return { kind: 'unknown', why: failure.message };
      // A late success: the host had taken before it was asked to forfeit.
      if (settled.row.holder.kind === 'host') continue;
      if (again) continue;
      return { kind: 'failed', code: failure.code, why: failure.message };
    }
  }
}

/** The first start's layout of devices is the server's for good; whether its machine has a channel for the guest agent is so until the next start. */
async function noteMachine(db: Db, serverId: ServerId, report: GuestReport): Promise<void> {
  // An agent that does not say knows one alone.
  const layout = report.deviceLayout === 2 ? 2 : 1;
  const guestAgent = toldGuestAgent(report);
  await sql`${later}update server set device_layout = coalesce(device_layout, ${layout}::smallint), machine_guest_agent = coalesce(${guestAgent}::boolean, machine_guest_agent)
    where id = ${serverId} and (device_layout is null or coalesce(machine_guest_agent, guest_agent) <> ${guestAgent}::boolean)`.execute(db);
}
