import { randomUUID } from 'node:crypto';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { noValidHostMessage } from '@godwit/domain/scheduling/no-valid-host';
import { powerState } from '@godwit/domain/server';
import { takeCharge } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';
import { claim, place } from '../scheduling/claim.ts';
import { rootDiskBytes } from '../scheduling/load-demand.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { serverFault } from './fault.ts';
import { readServer, writeServer } from './server-record.ts';
import { startGuest } from './start-guest.ts';

type Input = {
  readonly actionId: number;
  readonly requestedHost: string | null;
  readonly excluded?: readonly { readonly id: HostId; readonly reason: string }[];
};

const SCHEDULED = 'conductor_schedule_and_build_instances';
const BUILT = 'compute__do_build_and_run_instance';
const HOSTS_TRIED = 3;
const PATIENCE_MS = 60_000;

/**
 * Makes an accepted server: host and claim, then its disks and its first start. Ends with the server active, or in ERROR with a fault and nothing claimed.
 * A host that fails is not asked again; the next one is.
 */
export async function createServer(context: WorkflowContext, run: WorkflowRun): Promise<void> {
  const { db } = context;
  const serverId = as<ServerId>(run.subjectId);
  let input = run.input as unknown as Input;
  if (!(await takeCharge(db, serverId, run.fence, ['scheduling', 'block_device_mapping', 'spawning']))) return;
  for (;;) {
    const hostId = await scheduled(context, run, serverId, input);
    if (hostId === null) return;
    await context.faultPoint('create:scheduled');
    const outcome = await startGuest(context, run, serverId, hostId, { deleteDisksOnFailure: true, patienceMs: PATIENCE_MS });
    if (outcome.kind === 'running') {
      const { report } = outcome;
      await db.transaction().execute(async (tx) => {
        await writeServer(tx, run, serverId, {
          vm_state: 'active',
          task_state: null,
          power_state: powerState.running,
          launched_at: new Date(),
          machine_type: report.machineType === '' ? null : report.machineType,
          cpu_model: report.cpuModel === '' ? null : report.cpuModel,
        });
        await tx
          .updateTable('port')
          .set({ host_id: hostId, status: 'ACTIVE', updated_at: new Date() })
          .where('server_id', '=', serverId)
          .execute();
        await finishEvent(tx, input.actionId, BUILT, { ok: true });
      });
      return;
    }
    if (outcome.kind === 'unknown') {
      await fail(
        context,
        run,
        serverId,
        input,
        `Build of instance ${serverId} is undecided: its host does not answer.`,
        outcome.why,
        false,
      );
      return;
    }
    const excluded = [...(input.excluded ?? []), { id: hostId, reason: `it failed to start the server: ${outcome.why}` }];
    input = { ...input, excluded };
    await run.remember(input as unknown as Record<string, unknown>);
    if (excluded.length >= HOSTS_TRIED) {
      await fail(
        context,
        run,
        serverId,
        input,
        `Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance ${serverId}.`,
        outcome.why,
        true,
      );
      return;
    }
    await db.transaction().execute(async (tx) => {
      await release(tx, serverId);
      await writeServer(tx, run, serverId, { host_id: null, task_state: 'scheduling' });
      await finishEvent(tx, input.actionId, BUILT, { ok: false, details: outcome.why });
    });
  }
}

/** The host that the server is claimed on; null when there is none, and the server then is in ERROR. */
async function scheduled(context: WorkflowContext, run: WorkflowRun, serverId: ServerId, input: Input): Promise<HostId | null> {
  const server = await readServer(context.db, serverId);
  if (server.host_id !== null) return as<HostId>(server.host_id);
  return context.db.transaction().execute(async (tx) => {
    await beginEvent(tx, input.actionId, SCHEDULED, null);
    const placement = await place(tx, serverId, {
      kind: 'create',
      requestedHost: input.requestedHost,
      copiesLocalDisks: true,
      excludedHosts: input.excluded ?? [],
      ratios: context.config,
      hosts: context.hosts,
      seed: run.fence,
    });
    if (placement.kind === 'no-valid-host') {
      const message = noValidHostMessage('create');
      await finishEvent(tx, input.actionId, SCHEDULED, { ok: false, details: placement.details });
      await writeServer(tx, run, serverId, { vm_state: 'error', task_state: null, fault: serverFault(message, placement.details) });
      return null;
    }
    const hostId = placement.host.id;
    await claim(tx, serverId, hostId, placement.demand);
    const bytes = await rootDiskBytes(tx, server);
    const pool = placement.pools[0];
    if (bytes > 0 && pool !== undefined) {
      await tx
        .insertInto('disk')
        .values({
          id: randomUUID(),
          server_id: serverId,
          device_index: 0,
          pool: pool.name,
          storage: pool.kind,
          format: 'qcow2',
          size_bytes: bytes,
          image_id: server.image_id,
        })
        .execute();
    }
    await writeServer(tx, run, serverId, { host_id: hostId, task_state: 'spawning' });
    await finishEvent(tx, input.actionId, SCHEDULED, { ok: true, details: placement.details });
    await beginEvent(tx, input.actionId, BUILT, hostId);
    return hostId;
  });
}

async function fail(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  input: Input,
  message: string,
  why: string,
  releases: boolean,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    if (releases) await release(tx, serverId);
    await writeServer(tx, run, serverId, {
      vm_state: 'error',
      task_state: null,
      fault: serverFault(message, why),
      ...(releases ? { host_id: null } : {}),
    });
    await finishEvent(tx, input.actionId, BUILT, { ok: false, details: why });
  });
}

/** Undo of the claim: ledger and disk rows. */
async function release(tx: Parameters<typeof place>[0], serverId: ServerId): Promise<void> {
  await tx.deleteFrom('allocation').where('consumer_id', '=', serverId).execute();
  await tx.deleteFrom('disk').where('server_id', '=', serverId).execute();
}
