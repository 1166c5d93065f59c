import { GodwitError } from '@godwit/domain/errors';
import { memorySizeProblem } from '@godwit/domain/guest-memory';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { ram } from '@godwit/domain/scheduling/filters/ram';
import { vcpu } from '@godwit/domain/scheduling/filters/vcpu';
import { maxRamOf, maxRamSpec, maxVcpusOf, maxVcpusSpec, ramOf, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { sql } from 'kysely';
import { demandGrowth } from '../../quotas/demand-quota.ts';
import type { FlavorSnapshot } from '../../store/core-tables.ts';
import type { Db, Tx } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import type { Caller, ScaleRequest } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { loadDemand } from '../scheduling/load-demand.ts';
import { loadHosts, type Ratios } from '../scheduling/load-hosts.ts';
import { type ServerSize, writeSize } from '../server/write-size.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { type LockedServer, lockForAction } from './lock-server.ts';

/** `from`: what it had, and has again where its host gave none. */
export type ScaleInput = { readonly from: Required<ServerSize>; readonly to: ServerSize; readonly actionId: number };

/**
 * Accepts that a server has another number of vCPUs, or another amount of memory: its row, the ledger, task_state, action and workflow, in one transaction. Growth is claimed before its guest has it, and what a guest gives back
 * is let go when it has done so. Asking for what the row has is accepted too: what its guest has may not be known. Throws what the API answers, nothing changed: the refusals of the action table; BadRequest outside what its flavor
 * allows; InvalidState for fewer vCPUs while it runs; OverQuota; NoValidHost when its host has no room, SourceServiceDown when that does not answer.
 */
export async function acceptScale(
  db: Db,
  workflows: Workflows,
  ratios: Ratios,
  caller: Caller,
  serverId: ServerId,
  to: ScaleRequest,
): Promise<{ readonly actionId: number }> {
  return db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'scale', serverId, caller);
    const from = { vcpus: vcpusOf(server.flavor), ramMib: ramOf(server.flavor) };
    const { vcpus = from.vcpus, ramMib = from.ramMib } = to;
    if (to.vcpus !== undefined) demandVcpuBounds(server.flavor, vcpus);
    if (to.ramMib !== undefined) demandRamBounds(server.flavor, ramMib);
    const runs = (await readCustody(tx, serverId)).holder.kind !== 'nowhere';
    if (runs && vcpus < from.vcpus)
      throw new GodwitError(
        'InvalidState',
        `Instance ${serverId} has ${from.vcpus} vCPUs, and none is taken from a guest that runs: stop it to give it ${vcpus}.`,
      );
    if (runs) await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    // Its guest uses what it has until it has given it back.
    const claimed = { vcpus, ramMib: runs ? Math.max(from.ramMib, ramMib) : ramMib };
    await demandGrowth(
      tx,
      { projectId: server.project_id, userId: server.user_id },
      { cores: vcpus - from.vcpus, ram: claimed.ramMib - from.ramMib },
    );
    if (vcpus > from.vcpus || ramMib > from.ramMib) await demandRoom(tx, ratios, caller, server, serverId, claimed);
    await writeSize(tx, server, { ...(to.vcpus !== undefined && { vcpus }), ...(to.ramMib !== undefined && { ramMib: claimed.ramMib }) });
    await tx.updateTable('server').set({ task_state: 'scaling', updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, 'scale', caller);
    await workflows.enqueue(tx, { kind: 'scale-server', subjectId: serverId, input: { from, to, actionId } satisfies ScaleInput });
    await tellServer(tx, serverId);
    return { actionId };
  });
}

function demandVcpuBounds(flavor: FlavorSnapshot, vcpus: number): void {
  const most = maxVcpusOf(flavor);
  if (most === null)
    throw new GodwitError(
      'BadRequest',
      `Flavor ${flavor.name} lets its servers have ${flavor.vcpus} vCPUs: for more, resize it to one with the extra spec ${maxVcpusSpec}.`,
    );
  if (vcpus < flavor.vcpus || vcpus > most)
    throw new GodwitError('BadRequest', `Flavor ${flavor.name} lets its servers have ${flavor.vcpus} to ${most} vCPUs, not ${vcpus}.`);
}

function demandRamBounds(flavor: FlavorSnapshot, ramMib: number): void {
  const maxRamMib = maxRamOf(flavor);
  if (maxRamMib === null)
    throw new GodwitError(
      'BadRequest',
      `Flavor ${flavor.name} lets its servers have ${flavor.ram_mib} MiB of memory: more needs its extra spec ${maxRamSpec}, and a server made or resized with it.`,
    );
  const problem = memorySizeProblem({ ramMib: flavor.ram_mib, maxRamMib }, ramMib);
  if (problem !== null) throw new GodwitError('BadRequest', `Flavor ${flavor.name} lets its servers have ${problem}.`);
}

/** The scheduler's own filters about the server's host, under its lock, without what the server holds of it; only about what grows. What the host has free is for who may see hosts. */
async function demandRoom(
  tx: Tx,
  ratios: Ratios,
  caller: Caller,
  server: LockedServer,
  serverId: ServerId,
  claimed: Required<ServerSize>,
): Promise<void> {
  if (server.host_id === null) return;
  const hostId = as<HostId>(server.host_id);
  await sql`select id from host where id = ${hostId} for no key update`.execute(tx);
  const [host] = await loadHosts(tx, ratios, [hostId]);
  const own = await tx
    .selectFrom('allocation')
    .select(['vcpus', 'ram_mib'])
    .where('consumer_id', '=', serverId)
    .where('host_id', '=', hostId)
    .executeTakeFirst();
  const demand = await loadDemand(tx, serverId, {
    kind: 'resize',
    requestedHost: null,
    copiesLocalDisks: false,
    excludedHosts: [],
    flavor: { ...server.flavor, scaled_vcpus: claimed.vcpus, scaled_ram_mib: claimed.ramMib },
  });
  if (host === undefined) return;
  const usage = { ...host.usage, vcpus: host.usage.vcpus - (own?.vcpus ?? 0), ramMib: host.usage.ramMib - (own?.ram_mib ?? 0) };
  const filters = [
    ...(claimed.vcpus > vcpusOf(server.flavor) ? [{ filter: vcpu, what: `${claimed.vcpus} vCPUs` }] : []),
    ...(claimed.ramMib > ramOf(server.flavor) ? [{ filter: ram, what: `${claimed.ramMib} MiB of memory` }] : []),
  ];
  for (const { filter, what } of filters) {
    const rejection = filter.prepare(demand)?.({ ...host, usage }) ?? null;
    if (rejection !== null) {
      const why = caller.isAdmin ? `: it ${filter.describe(rejection, demand).sentence}` : '';
      throw new GodwitError('NoValidHost', `Instance ${serverId} cannot have ${what} where it is${why}. A resize may choose another host.`);
    }
  }
}
