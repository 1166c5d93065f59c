import { randomUUID } from 'node:crypto';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import type { RescueColumn } from '../../store/core-tables.ts';
import type { RescueInput } from '../accept/rescue.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import { rootDiskBytes } from '../scheduling/load-demand.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { comeToRest } from './come-to-rest.ts';
import { serverFault } from './fault.ts';
import { type ReplacedDisks, removeReplacedDisks, replacedDisks } from './remove-replaced-disks.ts';
import { readServer, writeServer } from './server-record.ts';
import { startGuest } from './start-guest.ts';

const PATIENCE_MS = 60_000;
const SHUTDOWN_MS = 15_000;
const events = { in: 'compute_rescue_instance', out: 'compute_unrescue_instance' } as const;
/** Before the server's own, which it leaves where it is: what a guest boots from is its first disk. */
const RESCUE_DEVICE = -1;

/**
 * Restarts a server from a disk of another image with its own as the second (rescuing), or from its own again (unrescuing), on the host where it is. The own disk is never touched. A guest that does not
 * come to rest leaves the server as it was; a rescue whose guest cannot be started leaves it off and whole.
 */
export async function rescueServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  const input = run.input as unknown as RescueInput;
  if (!(await takeCharge(db, serverId, run.fence, [input.way === 'in' ? 'rescuing' : 'unrescuing']))) return;
  const { host_id, rescue } = await readServer(db, serverId);
  if (host_id === null) throw new Error(`server ${serverId} has no host`);
  const hostId = as<HostId>(host_id);
  await beginEvent(db, input.actionId, events[input.way], hostId);
  let { replaced = [] } = input;
  const begun = input.way === 'in' ? rescue !== null : rescue === null;
  if (!begun) {
    const unrest = await comeToRest(context, run, serverId, PATIENCE_MS, SHUTDOWN_MS);
    if (unrest !== null) return end(context, run, serverId, input, await asItIs(context, serverId), unrest);
    await context.faultPoint('rescue:stopped');
    if (input.from !== null) await insert(context, run, serverId, input.from);
    else replaced = await takeOut(context, run, serverId, input);
    await context.faultPoint('rescue:exchanged');
  }
  await removeReplacedDisks(context, run, serverId, hostId, replaced);
  const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
  await context.faultPoint('rescue:started');
  const wanted = input.way === 'in' ? 'rescued' : 'active';
  if (outcome.kind === 'running') return end(context, run, serverId, input, { vm: wanted, runs: true }, null);
  if (input.way === 'out') return end(context, run, serverId, input, { vm: 'error', runs: false }, outcome.why);
  // Perhaps it runs: an unrescue finds that out first.
  if (outcome.kind === 'unknown') return end(context, run, serverId, input, { vm: 'rescued', runs: false }, outcome.why);
  await removeReplacedDisks(context, run, serverId, hostId, await takeOut(context, run, serverId, input));
  await end(context, run, serverId, input, { vm: 'stopped', runs: false }, outcome.why);
}

async function insert(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, from: RescueColumn): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const { flavor } = await readServer(tx, serverId);
    const own = await tx
      .selectFrom('disk')
      .selectAll()
      .where('server_id', '=', serverId)
      .where('device_index', '=', 0)
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('disk')
      .values({
        ...own,
        id: randomUUID(),
        device_index: RESCUE_DEVICE,
        format: 'qcow2',
        size_bytes: await rootDiskBytes(tx, { image_id: from.imageId, flavor }),
        image_id: from.imageId,
        fresh: true,
      })
      .execute();
    await writeServer(tx, run, serverId, { rescue: JSON.stringify(from) });
  });
}

/** The row names the server's own disk alone, and the run remembers the other: first the run, because the disk is found again until the row has changed. */
async function takeOut(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: RescueInput): Promise<ReplacedDisks> {
  const { db } = context;
  const old = await db.selectFrom('disk').selectAll().where('server_id', '=', serverId).where('device_index', '=', RESCUE_DEVICE).execute();
  const replaced = replacedDisks(old);
  await run.remember({ ...input, replaced });
  await db.transaction().execute(async (tx) => {
    await tx.deleteFrom('disk').where('server_id', '=', serverId).where('device_index', '=', RESCUE_DEVICE).execute();
    await writeServer(tx, run, serverId, { rescue: null });
  });
  return replaced;
}

type Ending = { readonly vm: VmState; readonly runs: boolean };

/** Nothing has been exchanged: what its host shows. */
async function asItIs(context: WorkflowContext, serverId: ServerId): Promise<Ending> {
  const { holder } = await readCustody(context.db, serverId);
  const { vm_state, power_state } = await readServer(context.db, serverId);
  const runs = holder.kind === 'host' && power_state === powerState.running;
  return { vm: vm_state === 'active' && holder.kind === 'nowhere' ? 'stopped' : vm_state, runs };
}

async function end(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  { actionId, way }: RescueInput,
  { vm, runs }: Ending,
  error: string | null,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, {
      vm_state: vm,
      power_state: runs ? powerState.running : powerState.shutdown,
      task_state: null,
      ...(error === null ? { launched_at: new Date() } : {}),
      ...(vm === 'error'
        ? { fault: serverFault('The server could not be started from its own disk.', error ?? undefined) }
        : { fault: null }),
    });
    await finishEvent(tx, actionId, events[way], error === null ? { ok: true } : { ok: false, details: error });
  });
}
