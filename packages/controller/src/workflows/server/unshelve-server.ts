import { randomUUID } from 'node:crypto';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { powerState, type VmState } from '@godwit/domain/server';
import type { Tx } from '../../store/database.ts';
import type { UnshelveInput } from '../accept/unshelve.ts';
import { takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import { claim, place } from '../scheduling/claim.ts';
import { rootDiskBytes } from '../scheduling/load-demand.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { serverFault } from './fault.ts';
import { readServer, writeServer } from './server-record.ts';
import { forgetShelvedImage, removeLeftDisks } from './shelved-disk.ts';
import { startGuest } from './start-guest.ts';

const SCHEDULED = 'schedule_instances';
const EVENT = 'compute_unshelve_instance';
const HOSTS_TRIED = 3;
const PATIENCE_MS = 60_000;

/**
 * Runs a shelved server again: unshelving → spawning → ACTIVE; an offloaded one on a host of the scheduler's choice, with a disk made from its image. The image goes in the same transaction in which the server
 * becomes active. A failure leaves it shelved as it was; a host that fails is not asked again, the next one is.
 */
export async function unshelveServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  let input = run.input as unknown as UnshelveInput;
  if (!(await takeCharge(db, serverId, run.fence, ['unshelving', 'spawning']))) return;
  const { vm_state: from } = await readServer(db, serverId);
  const offloaded = from === 'shelved_offloaded';
  for (;;) {
    const hostId = await scheduled(context, run, serverId, input);
    if (hostId === null) return;
    await context.faultPoint('unshelve:scheduled');
    const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: offloaded, patienceMs: PATIENCE_MS });
    await context.faultPoint('unshelve:started');
    if (outcome.kind === 'running') return runs(context, run, serverId, input, hostId);
    if (outcome.kind === 'unknown') return ended(context, run, serverId, input, 'error', outcome.why);
    if (!offloaded) return ended(context, run, serverId, input, from, outcome.why);
    const hasRun = await db.selectFrom('disk').select('id').where('server_id', '=', serverId).where('fresh', '=', false).executeTakeFirst();
    // It ended at once, and may have written: what it has is on this host now.
    if (hasRun !== undefined) return ended(context, run, serverId, input, 'stopped', outcome.why);
    const excluded = [...(input.excluded ?? []), { id: hostId, reason: `it failed to start the server: ${outcome.why}` }];
    input = { ...input, excluded };
    await run.remember(input);
    const gaveUp = excluded.length >= HOSTS_TRIED || outcome.code === 'CustodyRefused';
    await db.transaction().execute(async (tx) => {
      await release(tx, serverId);
      await writeServer(tx, run, serverId, { host_id: null, task_state: gaveUp ? null : 'unshelving' });
      await finishEvent(tx, input.actionId, EVENT, { ok: false, details: outcome.why, actionGoesOn: !gaveUp });
    });
    if (gaveUp) return;
  }
}

/** The host that it is claimed on; null when there is none, and it stays offloaded. */
async function scheduled(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: UnshelveInput): Promise<HostId | null> {
  const server = await readServer(context.db, serverId);
  if (server.host_id !== null) {
    const hostId = as<HostId>(server.host_id);
    await beginEvent(context.db, input.actionId, EVENT, hostId);
    // Files of an offloading that did not come to its end.
    if (
      server.vm_state === 'shelved' &&
      server.shelved !== null &&
      !(await removeLeftDisks(context, run, serverId, hostId, server.shelved))
    )
      context.log.warn(
        { server: serverId, host: hostId, disks: server.shelved.replaced.map(({ id }) => id) },
        'left disks stay on their host',
      );
    return hostId;
  }
  return context.db.transaction().execute(async (tx) => {
    await beginEvent(tx, input.actionId, SCHEDULED, null);
    const image = server.shelved?.imageId ?? null;
    const kept = await tx
      .selectFrom('image')
      .select('virtual_size_bytes')
      .where('id', '=', image)
      .where('deleted_at', 'is', null)
      .executeTakeFirst();
    if (kept === undefined) {
      await finishEvent(tx, input.actionId, SCHEDULED, { ok: false, details: 'The image of its disk is gone.' });
      await writeServer(tx, run, serverId, { task_state: null });
      return null;
    }
    const placement = await place(tx, serverId, {
      kind: 'unshelve',
      requestedHost: input.requestedHost,
      copiesLocalDisks: true,
      excludedHosts: input.excluded ?? [],
      ratios: context.config,
      hosts: context.hosts,
      seed: run.fence,
    });
    if (placement.kind === 'no-valid-host') {
      await finishEvent(tx, input.actionId, SCHEDULED, { ok: false, details: placement.details });
      await writeServer(tx, run, serverId, { task_state: null });
      return null;
    }
    const hostId = placement.host.id;
    await claim(tx, serverId, hostId, placement.demand);
    const pool = placement.pools[0];
    if (pool === undefined) throw new Error(`server ${serverId} was placed without a pool for its disk`);
    await tx
      .insertInto('disk')
      .values({
        id: randomUUID(),
        server_id: serverId,
        device_index: 0,
        pool: pool.name,
        storage: pool.kind,
        format: 'qcow2',
        // As large as it was, whatever the flavor says.
        size_bytes: Math.max(await rootDiskBytes(tx, { ...server, image_id: image }), kept.virtual_size_bytes ?? 0),
        image_id: image,
        fresh: true,
      })
      .execute();
    await writeServer(tx, run, serverId, { host_id: hostId, task_state: 'spawning' });
    await finishEvent(tx, input.actionId, SCHEDULED, { ok: true, details: placement.details });
    await beginEvent(tx, input.actionId, EVENT, hostId);
    return hostId;
  });
}

async function runs(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: UnshelveInput, hostId: HostId): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    await forgetShelvedImage(tx, (await readServer(tx, serverId)).shelved);
    await tx
      .updateTable('port')
      .set({ host_id: hostId, status: 'ACTIVE', updated_at: new Date() })
      .where('server_id', '=', serverId)
      .execute();
    await writeServer(tx, run, serverId, {
      vm_state: 'active',
      power_state: powerState.running,
      task_state: null,
      shelved: null,
      launched_at: new Date(),
      fault: null,
    });
    await finishEvent(tx, input.actionId, EVENT, { ok: true });
  });
}

/** It does not run, as far as anybody knows. Where it is shelved no more, its image stays with the project. */
async function ended(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  input: UnshelveInput,
  vmState: VmState,
  why: string,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    await writeServer(tx, run, serverId, {
      vm_state: vmState,
      power_state: powerState.shutdown,
      task_state: null,
      ...(vmState === 'shelved' ? {} : { shelved: null }),
      fault: vmState === 'error' ? serverFault('Whether the server was started is not known: its host does not answer.', why) : null,
    });
    await finishEvent(tx, input.actionId, EVENT, { ok: false, details: why });
  });
}

/** Undo of the claim: ledger and disk rows. */
async function release(tx: Tx, serverId: ServerId): Promise<void> {
  await tx.deleteFrom('allocation').where('consumer_id', '=', serverId).execute();
  await tx.deleteFrom('disk').where('server_id', '=', serverId).execute();
}
