import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import { as, asEpoch, type Epoch, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import { agentFailure } from '../../agents/agent-error.ts';
import { askBoot } from '../custody/ask-boot.ts';
import { readCustody, stepCustody } from '../custody/custody-store.ts';
import { custodyReport } from '../custody/guest-report.ts';
import { noteRefusal } from '../custody/note-refusal.ts';
import { wireGrant } from '../custody/wire-grant.ts';
import { checkpoint, type WorkflowRun } from '../port.ts';
import { recordFact } from '../record/actions.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { observed } from './power-server.ts';
import { readServer, writeServer } from './server-record.ts';

const CALL_MS = 10_000;

type Census = {
  /** False when a host did not answer: run it again when that returns. */
  readonly complete: boolean;
  readonly hosts: readonly { readonly id: string; readonly name: string }[];
  /** Copies that may run, by what was heard in this run. */
  readonly found: ReadonlyMap<HostId, GuestReport>;
};

/**
 * The database has travelled back (custody rule 8): a host knows a newer epoch of this server than we do. Every host that could hold it must first promise to accept no grant up to a
 * floor far above what was lost (by forfeiting that epoch, durably), and say what it has; fenced hosts are left out. Then the hosts' word is custody's row again. Until then nothing is
 * granted.
 */
export async function recoverCustody(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<Census> {
  const { db } = context;
  const all = await db.selectFrom('host').select(['id', 'name', 'fenced_at', 'reachable']).where('deleted_at', 'is', null).execute();
  const hosts = all.filter((host) => host.fenced_at === null || host.reachable);
  const ids = hosts.map((host) => as<HostId>(host.id));
  const begun = await readCustody(db, serverId);
  if (begun.operation?.kind !== 'recovery') {
    // Of those that are fenced nothing is heard, and the guest may have run there: custody has to know that they are left out.
    const fenced = all.filter((host) => !hosts.includes(host)).map((host) => ({ kind: 'fenced', hostId: as<HostId>(host.id) }) as const);
    const restored = { kind: 'restored', hosts: all.map((host) => as<HostId>(host.id)) } as const;
    await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [restored, ...fenced]));
  }
  const found = new Map<HostId, GuestReport>();
  for (const host of ids) {
    checkpoint(run);
    const row = await readCustody(db, serverId);
    if (row.operation?.kind !== 'recovery') break;
    if (!row.operation.waitingFor.includes(host)) continue;
    const { floor } = row.operation;
    try {
      const answer = await census(context, run, serverId, host, floor);
      if (answer.guest !== null && mayRun(answer.guest)) found.set(host, answer.guest);
      const message = { ...custodyReport(row, answer.bootId, answer.guest), floor };
      await db.transaction().execute((tx) => stepCustody(tx, serverId, run.fence, [{ kind: 'heard', from: host, message }]));
    } catch (error) {
      checkpoint(run);
      const failure = agentFailure(error);
      if (failure.code === 'custody-fence-low') await noteRefusal(context, run, serverId, host, failure);
      context.log.warn(
        { server: serverId, host, code: failure.code, detail: failure.message },
        'a server that is newer than the database waits for a host',
      );
      return { complete: false, hosts, found };
    }
  }
  return { complete: (await readCustody(db, serverId)).operation === null, hosts, found };
}

/** Recovers custody, and then shows in the server's row what was found. Returns false when a host did not answer: run it again when that returns. */
export async function recoverServer(context: WorkflowContext, run: WorkflowRun, serverId: ServerId): Promise<boolean> {
  const { db } = context;
  const { complete, hosts, found } = await recoverCustody(context, run, serverId);
  if (!complete) return false;
  const row = await readCustody(db, serverId);
  const holder = row.holder.kind === 'nowhere' ? null : row.holder.hostId;
  // The holder may have reported to a run before this one.
  const told = holder === null ? null : (found.get(holder) ?? (await guestOn(context, run, serverId, holder)));
  const guest = told !== null && mayRun(told) ? told : null;
  const server = await readServer(db, serverId);
  // Off in any case; rescued, it is so until it is unrescued, whatever its guest does.
  const off: VmState = server.vm_state === 'shelved' || server.vm_state === 'shelved_offloaded' ? server.vm_state : 'stopped';
  const seen = guest === null ? { vmState: off, power: powerState.shutdown } : observed(guest);
  const state = server.vm_state === 'rescued' ? { ...seen, vmState: server.vm_state } : seen;
  const name = hosts.find((host) => host.id === holder)?.name;
  await db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, {
      vm_state: state.vmState,
      power_state: state.power,
      ...(holder === null ? {} : { host_id: holder }),
    });
    if (holder !== null && server.host_id !== holder) {
      await tx.updateTable('allocation').set({ host_id: holder }).where('consumer_id', '=', serverId).execute();
      await tx.updateTable('port').set({ host_id: holder }).where('server_id', '=', serverId).execute();
    }
    await recordFact(
      tx,
      server,
      'reconcile',
      `The database was older than the hosts. The guest ${name === undefined ? 'runs nowhere' : `is ${row.holder.kind === 'suspended' ? 'suspended ' : ''}on ${name}`}.`,
    );
  });
  return true;
}

/** A host's promise and its word about the server. */
async function census(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  host: HostId,
  floor: Epoch,
): Promise<{ readonly bootId: string; readonly guest: GuestReport | null }> {
  const client = await context.agents.client(host);
  const call = { timeoutMs: CALL_MS, signal: run.signal };
  const bootId = await askBoot(context, host, run.signal);
  // An epoch that nobody was granted: forfeiting it makes the host refuse every grant up to it, also those that are still under way.
  const { answer } = await client.forfeitIncoming(
    {
      grant: wireGrant(
        {
          serverId,
          migrationId: null,
          source: null,
          destination: host,
          epoch: floor,
          previousEpoch: asEpoch(0),
          fence: run.fence,
          endState: 'paused',
          bootId,
          postCopy: false,
        },
        run.fence,
      ),
      deleteDisks: false,
      requestId: run.id,
    },
    call,
  );
  if (answer !== TakeAnswer.HAS_NOT_AND_FORFEITS) throw new Error(`host ${host} did not promise to refuse grants up to ${floor}`);
  return { bootId, guest: await guestOn(context, run, serverId, host) };
}

/** A copy that has not taken, or that has released, is no guest that runs. */
const mayRun = (guest: GuestReport): boolean => ![GuestState.UNSPECIFIED, GuestState.RELEASED, GuestState.INCOMING].includes(guest.state);

/** What a host says of the server; null: it does not mention it. */
async function guestOn(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, host: HostId): Promise<GuestReport | null> {
  const client = await context.agents.client(host);
  const { guests } = await client.listGuests({}, { timeoutMs: CALL_MS, signal: run.signal });
  return guests.find((one) => one.serverId === serverId) ?? null;
}
