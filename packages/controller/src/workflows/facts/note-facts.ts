import { type GuestReport, GuestState } from '@godwit/contract/gen/guest_pb';
import { controllerStep } from '@godwit/domain/custody/controller';
import type { CustodyRow, Operation } from '@godwit/domain/custody/custody-row';
import { as, asFence, type BootId, type Fence, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState } from '@godwit/domain/server';
import { agentFailure } from '../../agents/agent-error.ts';
import type { HostListener, HostReport } from '../../agents/host-watcher.ts';
import { letFencedHostBack, noteFencedHostCompared } from '../../hosts/fence-host.ts';
import type { Db, Tx } from '../../store/database.ts';
import { askBoot, bootIsOver } from '../custody/ask-boot.ts';
import { custodyRowOf } from '../custody/custody-row-of.ts';
import { readCustody } from '../custody/custody-store.ts';
import { copyEpoch, custodyReport } from '../custody/guest-report.ts';
import { noteTimeTravel } from '../custody/note-refusal.ts';
import { keepsCopiedDisks } from '../live-migrate/clear-copied-disks.ts';
import { recordFact } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { serverFault } from '../server/fault.ts';
import { machineHasGuestAgent, toldGuestAgent } from '../server/machine-guest-agent.ts';
import { memoryGone } from '../server/memory-gone.ts';
import { noteReboot } from '../server/note-reboot.ts';
import { observed } from '../server/power-server.ts';
import { otherSize } from '../server/scale-server.ts';
import { readServer, type ServerRecord } from '../server/server-record.ts';
import { writeSize } from '../server/write-size.ts';
import type { WorkflowContext } from '../workflow-context.ts';

const ASK_AGAIN_MS = 5_000;

/**
 * Keeps the servers' rows true to what hosts say, outside operations: a power-off inside is SHUTOFF, a crash is ERROR with its cause, after a host's reboot guests are SHUTOFF
 * with the reason or started again by a new grant. While an operation is under way its executor is woken instead, and nothing is written here.
 */
export function factListener(context: WorkflowContext): HostListener {
  return {
    onReport: (report) => noteReport(context, report),
    onGuest: (host, bootId, guest) => noteGuest(context, host, bootId, guest),
    onMigration: async (_host, migration) => {
      await wakeMove(context, migration.migrationId);
    },
  };
}

async function noteReport(context: WorkflowContext, report: HostReport): Promise<void> {
  const { db } = context;
  for (const guest of report.guests) await noteGuest(context, report.host, report.bootId, guest);
  const told = new Set(report.guests.map((guest) => guest.serverId));
  const concerned = await db
    .selectFrom('server')
    .select(['id', 'deleted_at', 'task_state', 'custody'])
    .where((eb) =>
      eb.or([
        eb('host_id', '=', report.host),
        eb(eb.ref('custody', '->').key('remains'), '<>', '[]' as never),
        eb(eb.ref('custody', '->').key('operation'), '<>', 'null' as never),
      ]),
    )
    .execute();
  for (const row of concerned) {
    const { holder, remains, operation } = row.custody;
    const serverId = as<ServerId>(row.id);
    // What the host does not mention any more has ended there.
    if (holder.kind === 'host' && holder.hostId === report.host && !told.has(row.id)) await noteAbsent(context, report, serverId);
    const involved = operation !== null && hostsOf(operation).includes(report.host);
    if (
      remains.some((one) => one.hostId === report.host) ||
      (involved && row.task_state === null) ||
      (row.deleted_at !== null && (await hasDisks(db, serverId)))
    )
      await enqueueSettling(context, serverId);
  }
  for (const serverId of await keepsCopiedDisks(db, report.host)) await enqueueSettling(context, serverId);
  await noteFencedHostCompared(db, report.host);
  await letFencedHostBack(db, report.host);
}

/** The hosts that an operation waits for. */
function hostsOf(operation: Operation): readonly (HostId | null)[] {
  switch (operation.kind) {
    case 'recovery':
      return operation.waitingFor;
    case 'destroy':
      return [operation.hostId];
    case 'move':
    case 'start':
      return [operation.grant.source, operation.grant.destination];
  }
}

async function hasDisks(db: Db, serverId: ServerId): Promise<boolean> {
  return (await db.selectFrom('disk').select('id').where('server_id', '=', serverId).executeTakeFirst()) !== undefined;
}

async function enqueueSettling(context: WorkflowContext, serverId: ServerId): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const open = await tx
      .selectFrom('workflow')
      .select('id')
      .where('subject_id', '=', serverId)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    if (open === undefined) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: serverId });
  });
}

/** A move that has ended needs nobody; one of another controller is woken through the database. */
async function wakeMove(context: WorkflowContext, migrationId: string): Promise<void> {
  if (context.workflows.wakeHere(migrationId)) return;
  const open = await context.db
    .selectFrom('migration')
    .select('id')
    .where('id', '=', migrationId)
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  if (open !== undefined) await context.workflows.wake(context.db, migrationId);
}

async function noteAbsent(context: WorkflowContext, report: HostReport, serverId: ServerId): Promise<void> {
  const known = await readCustody(context.db, serverId);
  // Asked after the row was read: the listing may be of a boot before the holder's.
  const asked = bootedSince(known, report.host, report.bootId);
  const bootId = asked ? await askBoot(context, report.host) : as<BootId>(report.bootId);
  await context.db.transaction().execute(async (tx) => {
    const { server, row, idle } = await locked(tx, serverId);
    if (row.holder.kind !== 'host' || row.holder.hostId !== report.host) return;
    if (!idle) return wakeOperation(context, tx, serverId);
    if (!sameHolder(row, known)) return;
    const listed = as<BootId>(report.bootId);
    const next = controllerStep(row, { kind: 'absent', fence: row.fence, from: report.host, listed, bootId }).row;
    if (next.holder.kind === 'host') {
      context.log.warn(
        { host: report.host, server: serverId },
        'a host does not mention a server that it holds; that proves nothing, nothing is changed',
      );
      return;
    }
    await noteGone(context, tx, server, next, report.host);
  });
}

/**
 * The guest that its host held has ended without anybody seeing it: the host has booted again since, and nothing else proves an end that nobody saw (`custodyReport`). It is SHUTOFF with
 * the reason, whatever the host still finds of it in its journal (the last lines may be lost with the power), and is started again if the operator wants that of this host: by a grant, as ever.
 */
async function noteGone(context: WorkflowContext, tx: Tx, server: ServerRecord, next: CustodyRow, from: HostId): Promise<void> {
  await writeFact(tx, server, next, { vm_state: kept(server) ?? 'stopped', power_state: powerState.shutdown, fault: null });
  await noteReboot(context, tx, server, from, kept(server) === null);
}

/** True when the holder's copy was started under a boot of this host that is over: no process of it can be left. */
const bootedSince = (row: CustodyRow, host: HostId, bootId: string): boolean =>
  row.holder.kind === 'host' && row.holder.hostId === host && row.holder.bootId !== bootId;

/** Asks the host. What it told before may be of the boot before the holder's, and read late. */
async function isOver(context: WorkflowContext, { serverId, holder }: CustodyRow, host: HostId): Promise<boolean> {
  if (holder.kind !== 'host') return false;
  const over = await bootIsOver(context, host, holder.bootId);
  if (!over) context.log.warn({ host, server: serverId }, 'what a host told of an earlier boot came late; nothing is changed');
  return over;
}

const sameHolder = (row: CustodyRow, known: CustodyRow): boolean =>
  row.holder.kind === 'host' &&
  known.holder.kind === 'host' &&
  row.holder.hostId === known.holder.hostId &&
  row.holder.bootId === known.holder.bootId;

/** A server that waits to be confirmed or reverted, or that is rescued, goes on so, whatever its guest does: only its power state tells. Null for every other. */
const kept = ({ vm_state: state }: Pick<ServerRecord, 'vm_state'>): 'resized' | 'rescued' | null =>
  state === 'resized' || state === 'rescued' ? state : null;

/** Operations that look at the end of a guest themselves, or mean it. What is told during any other is compared when it is over. */
const endsGuests: readonly ServerRecord['task_state'][] = [
  'powering-off',
  'deleting',
  'rebooting',
  'rebooting_hard',
  'resize_prep',
  'resize_migrating',
  'rebuilding',
  'rescuing',
  'unrescuing',
  'shelving',
];

/** Writes what a host says of one guest. While an operation is under way its executor looks instead; when that may have been too early for what this says, the server is looked at again. */
export async function noteGuest(
  context: WorkflowContext,
  host: HostId,
  bootId: string,
  guest: GuestReport,
  /** The host was asked for this report while the server was idle under this fence: an operation since then has overtaken it. */
  askedUnder: Fence | null = null,
): Promise<void> {
  const serverId = as<ServerId>(guest.serverId);
  const known = await context.db
    .selectFrom('server')
    .select([
      'id',
      'task_state',
      'custody',
      'qemu_version',
      'guest_agent',
      'machine_guest_agent',
      'vm_state',
      'power_state',
      'fence',
      'highest_epoch',
      'flavor',
    ])
    .where('id', '=', serverId)
    .executeTakeFirst();
  if (known === undefined) {
    // Perhaps a database that was restored: what it does not know is never destroyed.
    context.log.error(
      { host, server: guest.serverId, epoch: String(guest.epoch) },
      'a host has a guest that the database does not know; it is left alone',
    );
    return;
  }
  // Most of what a host tells is that an operation under way goes on: its executor looks, nothing is written, and neither a lock nor a transaction is needed.
  const underWay = known.task_state !== null || known.custody.operation !== null;
  const { holder, operation } = known.custody;
  const told = toldGuestAgent(guest);
  const otherMachine =
    (guest.qemuVersion !== '' && guest.qemuVersion !== known.qemu_version) || (told !== null && told !== machineHasGuestAgent(known));
  // Moved away for good: what ends here is the copy that was left behind.
  const leftBehind = operation === null && holder.kind !== 'nowhere' && holder.hostId !== host;
  const news = otherMachine || (endsUnasked(guest.state) && !leftBehind);
  if (underWay && !news && context.workflows.wakeHere(serverId)) return;
  // What was told during an operation may be read when that is over: a guest that was paused since is not running. Only a word asked for now contradicts the row.
  const seenNow = observed(guest);
  const contradicts =
    (kept(known) ?? seenNow.vmState) !== known.vm_state || seenNow.power !== known.power_state || otherSize(known.flavor, guest) !== null;
  if (askedUnder === null && !underWay && contradicts && !endsUnasked(guest.state))
    return askAgain(context, host, serverId, asFence(known.fence));
  // Nothing but what is written already: as most of what a host tells at the end of an operation.
  if (!underWay && !otherMachine && !contradicts && !endsUnasked(guest.state) && saysNothingNew(custodyRowOf(known), host, bootId, guest))
    return;
  const before = custodyRowOf(known);
  if (!underWay && bootedSince(before, host, bootId) && !(await isOver(context, before, host))) return;
  let timeTravel = false;
  const settle = await context.db.transaction().execute(async (tx) => {
    const { server, row, idle } = await locked(tx, serverId);
    if (askedUnder !== null && row.fence !== askedUnder) return false;
    await noteMachine(tx, server, guest);
    if (!idle) {
      await wakeOperation(context, tx, serverId);
      if (!endsUnasked(guest.state) || endsGuests.includes(server.task_state)) return false;
      // Moved away for good: what ends here is the copy that was left behind.
      if (row.operation === null && row.holder.kind !== 'nowhere' && row.holder.hostId !== host) return false;
      await settleLater(context, tx, serverId);
      return false;
    }
    if (bootedSince(row, host, bootId) && (underWay || !sameHolder(row, before))) {
      await settleLater(context, tx, serverId);
      return false;
    }
    const here = isHeld(row, host, guest);
    const ended = guest.state === GuestState.SHUTOFF || guest.state === GuestState.CRASHED;
    const heard = controllerStep(row, {
      kind: 'heard',
      fence: row.fence,
      from: host,
      message: custodyReport(row, bootId, guest),
    }).row;
    // Under the lock: a start under the new boot may just have ended, and what it started is not gone.
    if (bootedSince(row, host, bootId) && heard.holder.kind === 'nowhere') {
      await noteGone(context, tx, server, heard, host);
      return heard.remains.length > 0;
    }
    if (row.holder.kind === 'suspended' && heard.holder.kind === 'nowhere') {
      await writeFact(tx, server, heard, { vm_state: 'stopped', power_state: powerState.shutdown });
      await recordFact(tx, server, 'stop', memoryGone);
      return heard.remains.length > 0;
    }
    if (heard.behind && !row.behind)
      context.log.error(
        { host, server: serverId, known: row.epoch, told: String(guest.epoch) },
        'a host knows a newer epoch than the database; nothing is granted for this server until it is reconciled',
      );
    const next =
      here && ended
        ? controllerStep(heard, {
            kind: 'heard',
            fence: row.fence,
            from: host,
            message: { kind: 'ended', epoch: copyEpoch(guest) },
          }).row
        : heard;
    const seen = observed(guest);
    const { power } = seen;
    const vmState = kept(server) ?? seen.vmState;
    const changed = here && !heard.behind && (server.vm_state !== vmState || server.power_state !== power) && server.deleted_at === null;
    if (changed) {
      await writeFact(tx, server, next, {
        vm_state: vmState,
        power_state: power,
        fault: vmState === 'error' ? serverFault(guest.detail === '' ? 'The guest has crashed.' : guest.detail) : null,
      });
      if (ended)
        await recordFact(
          tx,
          server,
          'stop',
          guest.detail === '' ? (vmState === 'error' ? 'The guest has crashed.' : 'The guest was powered off inside.') : guest.detail,
        );
    } else if (next !== row) await writeFact(tx, server, next, {});
    // A scaling whose end its host did not tell. Only a word asked for now: an earlier one may be of before it.
    const size = askedUnder !== null && here && !heard.behind ? otherSize(server.flavor, guest) : null;
    if (size !== null) {
      await writeSize(tx, server, size);
      await tellServer(tx, server.id);
    }
    if (next.behind && !row.behind) timeTravel = true;
    return next.remains.length > 0 || next.behind;
  });
  if (timeTravel) await noteTimeTravel(context, false);
  if (settle) await enqueueSettling(context, serverId);
}

/** True when this is the copy that the row has: the guest, or the memory that it was suspended to. */
function isHeld({ holder }: CustodyRow, host: HostId, guest: GuestReport): boolean {
  if (holder.kind === 'nowhere' || holder.hostId !== host || holder.epoch !== copyEpoch(guest)) return false;
  return holder.kind === 'host' || guest.state === GuestState.SUSPENDED;
}

/** True when custody would not change by what the host says of this copy, which is the holder's. */
function saysNothingNew(row: CustodyRow, host: HostId, bootId: string, guest: GuestReport): boolean {
  if (!isHeld(row, host, guest) || row.behind || row.remains.length > 0 || bootedSince(row, host, bootId)) return false;
  return controllerStep(row, { kind: 'heard', fence: row.fence, from: host, message: custodyReport(row, bootId, guest) }).row === row;
}

/** A host that does not answer tells everything when it is heard of again. */
async function askAgain(context: WorkflowContext, host: HostId, serverId: ServerId, fence: Fence): Promise<void> {
  try {
    const client = await context.agents.client(host);
    const { bootId, guests } = await client.listGuests({}, { timeoutMs: ASK_AGAIN_MS });
    const guest = guests.find((one) => one.serverId === serverId);
    if (guest !== undefined) await noteGuest(context, host, bootId, guest, fence);
  } catch (error) {
    const failure = agentFailure(error);
    context.log.info({ host, server: serverId, code: failure.code, detail: failure.message }, 'a host was not asked again about a guest');
  }
}

/** Which QEMU runs the guest, and whether its machine has a channel for the guest agent. Also during an operation: who runs it says so, and nobody else. */
async function noteMachine(tx: Tx, server: ServerRecord, guest: GuestReport): Promise<void> {
  const told = toldGuestAgent(guest);
  if (told === null) return;
  const { qemuVersion } = guest;
  const news = {
    ...(qemuVersion !== '' && qemuVersion !== server.qemu_version && { qemu_version: qemuVersion }),
    ...(told !== machineHasGuestAgent(server) && { machine_guest_agent: told }),
  };
  if (Object.keys(news).length > 0) await tx.updateTable('server').set(news).where('id', '=', server.id).execute();
}

/** A guest that has ended, or stands still: not what any operation but one of those above leaves. */
const endsUnasked = (state: GuestState): boolean =>
  state === GuestState.SHUTOFF || state === GuestState.CRASHED || state === GuestState.IO_ERROR;

/** Once, when what is under way is over. */
async function settleLater(context: WorkflowContext, tx: Tx, serverId: ServerId): Promise<void> {
  const waiting = await tx
    .selectFrom('workflow')
    .select('id')
    .where('subject_id', '=', serverId)
    .where('kind', '=', 'settle-server')
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  if (waiting === undefined) await context.workflows.enqueue(tx, { kind: 'settle-server', subjectId: serverId });
}

/** The server's row, locked; `idle` when no operation of ours is under way. */
async function locked(
  tx: Tx,
  serverId: ServerId,
): Promise<{ readonly server: ServerRecord; readonly row: CustodyRow; readonly idle: boolean }> {
  const row = await readCustody(tx, serverId, true);
  const server = await readServer(tx, serverId);
  return { server, row, idle: server.task_state === null && row.operation === null };
}

/** An operation is under way on the server: its executor looks again. A move's subject is the migration. */
async function wakeOperation(context: WorkflowContext, tx: Tx, serverId: ServerId): Promise<void> {
  await context.workflows.wake(tx, serverId);
  const move = await tx
    .selectFrom('migration')
    .select('id')
    .where('server_id', '=', serverId)
    .where('finished_at', 'is', null)
    .executeTakeFirst();
  if (move !== undefined) await context.workflows.wake(tx, move.id);
}

type Facts = {
  readonly vm_state?: ServerRecord['vm_state'];
  readonly power_state?: ServerRecord['power_state'];
  readonly fault?: string | null;
};

/** A fact is written by whoever hears it, under the fence in force: it orders nothing. The row is locked and idle. */
async function writeFact(tx: Tx, server: ServerRecord, row: CustodyRow, facts: Facts): Promise<void> {
  const { holder, operation, remains, behind } = row;
  await tx
    .updateTable('server')
    .set({
      highest_epoch: row.epoch,
      custody: JSON.stringify({ holder, operation, remains, behind }),
      ...facts,
      ...(Object.keys(facts).length === 0 ? {} : { updated_at: new Date() }),
    })
    .where('id', '=', server.id)
    .execute();
  if (Object.keys(facts).length > 0) await tellServer(tx, server.id);
}
