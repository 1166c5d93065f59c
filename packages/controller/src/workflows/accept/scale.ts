import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { vcpu } from '@godwit/domain/scheduling/filters/vcpu';
import { maxVcpusOf, maxVcpusSpec, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
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
import { writeVcpus } from '../server/write-vcpus.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { type LockedServer, lockForAction } from './lock-server.ts';

/** `from`: what it had, and has again where its host gave none. */
export type ScaleInput = { readonly from: number; readonly actionId: number };

/**
 * Accepts that a server has another number of vCPUs: its row, the ledger, task_state, action and workflow, in one transaction; growth is claimed before its guest has it. Asking for the number that the row has is accepted too:
 * what its guest has may not be known. Throws what the API answers, nothing changed: the refusals of the action table; BadRequest outside what its flavor allows; InvalidState for fewer while it runs; OverQuota;
 * NoValidHost when its host has no room, SourceServiceDown when that does not answer.
 */
export async function acceptScale(
  db: Db,
  workflows: Workflows,
  ratios: Ratios,
  caller: Caller,
  serverId: ServerId,
  { vcpus }: ScaleRequest,
): Promise<{ readonly actionId: number }> {
  return db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'scale', serverId, caller);
    demandBounds(server.flavor, vcpus);
    const from = vcpusOf(server.flavor);
    const runs = (await readCustody(tx, serverId)).holder.kind !== 'nowhere';
    if (runs && vcpus < from)
      throw new GodwitError(
        'InvalidState',
        `Instance ${serverId} has ${from} vCPUs, and none is taken from a guest that runs: stop it to give it ${vcpus}.`,
      );
    if (runs) await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    await demandGrowth(tx, { projectId: server.project_id, userId: server.user_id }, { cores: vcpus - from, ram: 0 });
    if (vcpus > from) await demandRoom(tx, ratios, server, serverId, vcpus);
    await writeVcpus(tx, server, vcpus);
    await tx.updateTable('server').set({ task_state: 'scaling', updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, 'scale', caller);
    await workflows.enqueue(tx, { kind: 'scale-server', subjectId: serverId, input: { from, actionId } satisfies ScaleInput });
    await tellServer(tx, serverId);
    return { actionId };
  });
}

function demandBounds(flavor: FlavorSnapshot, vcpus: number): void {
  const most = maxVcpusOf(flavor);
  if (most === null)
    throw new GodwitError(
      'BadRequest',
      `Flavor ${flavor.name} lets its servers have ${flavor.vcpus} vCPUs: for more, resize it to one with the extra spec ${maxVcpusSpec}.`,
    );
  if (vcpus < flavor.vcpus || vcpus > most)
    throw new GodwitError('BadRequest', `Flavor ${flavor.name} lets its servers have ${flavor.vcpus} to ${most} vCPUs, not ${vcpus}.`);
}

/** The scheduler's own filter about the server's host, under its lock, without what the server holds of it. */
async function demandRoom(tx: Tx, ratios: Ratios, server: LockedServer, serverId: ServerId, vcpus: number): Promise<void> {
  if (server.host_id === null) return;
  const hostId = as<HostId>(server.host_id);
  await sql`select id from host where id = ${hostId} for no key update`.execute(tx);
  const [host] = await loadHosts(tx, ratios, [hostId]);
  const own = await tx
    .selectFrom('allocation')
    .select('vcpus')
    .where('consumer_id', '=', serverId)
    .where('host_id', '=', hostId)
    .executeTakeFirst();
  const demand = await loadDemand(tx, serverId, {
    kind: 'resize',
    requestedHost: null,
    copiesLocalDisks: false,
    excludedHosts: [],
    flavor: { ...server.flavor, scaled_vcpus: vcpus },
  });
  const check = vcpu.prepare(demand);
  if (host === undefined || check === null) return;
  const rejection = check({ ...host, usage: { ...host.usage, vcpus: host.usage.vcpus - (own?.vcpus ?? 0) } });
  if (rejection === null) return;
  throw new GodwitError(
    'NoValidHost',
    `Instance ${serverId} cannot have ${vcpus} vCPUs where it is: it ${vcpu.describe(rejection, demand).sentence}. A resize may choose another host.`,
  );
}
