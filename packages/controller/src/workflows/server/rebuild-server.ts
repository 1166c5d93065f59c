import { randomUUID } from 'node:crypto';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState } from '@godwit/domain/server';
import type { RebuildInput } from '../accept/rebuild.ts';
import { readCustody, takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import { rootDiskBytes } from '../scheduling/load-demand.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { comeToRest } from './come-to-rest.ts';
import { serverFault } from './fault.ts';
import { removeReplacedDisks, replacedDisks } from './remove-replaced-disks.ts';
import { readServer, writeServer } from './server-record.ts';
import { startGuest } from './start-guest.ts';
import { stopGuest } from './stop-guest.ts';

const EVENT = 'compute_rebuild_instance';
const PATIENCE_MS = 60_000;

/**
 * Puts a new disk of the wanted image in the place of a server's own, and starts it: rebuilding → rebuild_spawning → null. Until the disks are exchanged nothing is lost, and a failure leaves the
 * server with its old one; after that it ends on the new disk: active, stopped as it was, or in ERROR with the cause, from where it can be rebuilt again.
 */
export async function rebuildServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  if (!(await takeCharge(db, serverId, run.fence, ['rebuilding', 'rebuild_spawning']))) return;
  const { task_state, host_id } = await readServer(db, serverId);
  if (host_id === null) throw new Error(`server ${serverId} has no host`);
  const hostId = as<HostId>(host_id);
  let input = run.input as unknown as RebuildInput;
  await beginEvent(db, input.actionId, EVENT, hostId);
  if (task_state === 'rebuilding') {
    // No time to shut down: what it would write is thrown away.
    const unrest = await comeToRest(context, run, serverId, PATIENCE_MS, 0);
    if (unrest !== null) return giveUp(context, run, serverId, input, unrest);
    await context.faultPoint('rebuild:stopped');
    input = await exchangeDisks(context, run, serverId, input);
  }
  await context.faultPoint('rebuild:exchanged');
  await removeReplacedDisks(context, run, serverId, hostId, input.replaced ?? []);
  const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: false, patienceMs: PATIENCE_MS });
  await context.faultPoint('rebuild:started');
  if (outcome.kind !== 'running') return end(context, run, serverId, input, 'error', outcome.why);
  if (!input.endsStopped) return end(context, run, serverId, input, 'active', null);
  const stopped = await stopGuest(context, run, serverId, PATIENCE_MS);
  await end(
    context,
    run,
    serverId,
    input,
    stopped.kind === 'stopped' ? 'stopped' : 'active',
    stopped.kind === 'stopped' ? null : stopped.failure.message,
  );
}

/** The row names the new disk, and the run remembers the old one: one transaction after the other, because old disks are found again until the row has changed. */
async function exchangeDisks(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, before: RebuildInput): Promise<RebuildInput> {
  const { db } = context;
  const old = await db.selectFrom('disk').selectAll().where('server_id', '=', serverId).where('device_index', '<=', 0).execute();
  const input: RebuildInput = {
    ...before,
    replaced: replacedDisks(old),
  };
  await run.remember(input);
  await db.transaction().execute(async (tx) => {
    const { flavor } = await readServer(tx, serverId);
    const bytes = await rootDiskBytes(tx, { image_id: input.imageId, flavor });
    for (const disk of old) {
      await tx.deleteFrom('disk').where('id', '=', disk.id).execute();
      // That of a rescue goes with it.
      if (disk.device_index < 0) continue;
      await tx
        .insertInto('disk')
        .values({ ...disk, id: randomUUID(), format: 'qcow2', size_bytes: bytes, image_id: input.imageId, fresh: true })
        .execute();
    }
    // Written anew by the start: names, keys and user data may have changed with it.
    await tx.deleteFrom('config_drive').where('server_id', '=', serverId).execute();
    await writeServer(tx, run, serverId, {
      image_id: input.imageId,
      direct_boot: input.directBoot === null ? null : JSON.stringify(input.directBoot),
      ...(input.guestAgent === undefined ? {} : { guest_agent: input.guestAgent }),
      rescue: null,
      task_state: 'rebuild_spawning',
      vm_state: 'stopped',
      power_state: powerState.shutdown,
    });
  });
  return input;
}

/** Nothing has been exchanged: the server is what its host shows. */
async function giveUp(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  { actionId }: RebuildInput,
  why: string,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    const { holder } = await readCustody(tx, serverId);
    const { vm_state } = await readServer(tx, serverId);
    await writeServer(tx, run, serverId, {
      task_state: null,
      ...(holder.kind === 'nowhere' && vm_state === 'active' ? { vm_state: 'stopped', power_state: powerState.shutdown } : {}),
    });
    await finishEvent(tx, actionId, EVENT, { ok: false, details: why });
  });
}

async function end(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  { actionId }: RebuildInput,
  vmState: 'active' | 'stopped' | 'error',
  error: string | null,
): Promise<void> {
  const power = { active: powerState.running, stopped: powerState.shutdown, error: powerState.shutdown } as const;
  await context.db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, {
      vm_state: vmState,
      power_state: power[vmState],
      task_state: null,
      launched_at: new Date(),
      fault: vmState === 'error' ? serverFault('The server could not be started from its new disk.', error ?? undefined) : null,
    });
    await finishEvent(tx, actionId, EVENT, error === null ? { ok: true } : { ok: false, details: error });
  });
}
