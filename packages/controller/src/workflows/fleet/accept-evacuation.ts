import { randomUUID } from 'node:crypto';
import type { NewOperation } from '@godwit/contract/schemas/godwit/fleet-requests';
import { fencingWarning } from '@godwit/domain/custody/fencing';
import { GodwitError } from '@godwit/domain/errors';
import { fenceHost } from '../../hosts/fence-host.ts';
import type { Caller } from '../operations.ts';
import { insertHosts } from './accept-drain.ts';
import { byCaller, demandFree, type FleetContext, insertItems, itemsOf, oneAtATime } from './accept-operation.ts';
import { makePlan, RESTARTS_AT_ONCE } from './make-plan.ts';
import { tellOperation } from './operation-rows.ts';
import { hostsNamed, selectServers } from './select-servers.ts';

type Evacuation = Extract<NewOperation, { readonly kind: 'evacuate' }>;

/**
 * Accepts the evacuation of a dead host: each of its servers is to be restarted elsewhere. The host is fenced already, or is fenced by the operator's word in this request. Throws, nothing changed:
 * HostNotFound, BareMetalTarget, Conflict while the host answers, or when it is not fenced and nobody confirms that it is dead, or when it or a server is in another operation.
 */
export async function acceptEvacuation(context: FleetContext, caller: Caller, request: Evacuation): Promise<string> {
  const { db, workflows } = context;
  const [host] = await hostsNamed(db, [request.host]);
  if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${request.host} could not be found.`);
  // All that can be refused is refused before the host is fenced.
  if ((request.destination ?? null) !== null) await hostsNamed(db, [request.destination ?? '']);
  const here = new Set(await selectServers(db, { host: host.name }));
  const stranger = request.servers?.find((id) => !here.has(id));
  if (stranger !== undefined) throw new GodwitError('ServerNotFound', `Instance ${stranger} is not on host ${host.name}.`);
  await db.transaction().execute((tx) => demandFree(tx, { servers: [...here], hosts: [host.name] }));
  const { fenced_at } = await db.selectFrom('host').select('fenced_at').where('id', '=', host.id).executeTakeFirstOrThrow();
  if (fenced_at === null) {
    if (request.confirmedDead !== true)
      throw new GodwitError(
        'Conflict',
        `Host ${host.name} is not fenced. Fence it, or confirm that it is dead ("confirmedDead"). ${fencingWarning(host.name)}`,
      );
    await fenceHost(db, workflows, caller, host.name);
  }
  const made = await makePlan(context, {
    kind: 'evacuate',
    select: { host: host.name },
    destination: request.destination ?? null,
    parallel: request.parallel ?? RESTARTS_AT_ONCE,
  });
  const only = request.servers === undefined ? null : new Set<string>(request.servers);
  const items = itemsOf(made, (request.destination ?? null) !== null).filter(({ serverId }) => only === null || only.has(serverId));
  const id = randomUUID();
  await db.transaction().execute(async (tx) => {
    await oneAtATime(tx);
    await demandFree(tx, { servers: items.map(({ serverId }) => serverId), hosts: [host.name] });
    await tx
      .insertInto('fleet_operation')
      .values({
        id,
        kind: 'evacuate',
        state: 'running',
        destination: request.destination ?? null,
        parallel: request.parallel ?? RESTARTS_AT_ONCE,
        confirmed_dead: request.confirmedDead ?? false,
        expected_ms: Math.round(made.plan.durationMs),
        ...byCaller(caller),
      })
      .execute();
    // With a choice of servers the host is not meant to be empty afterwards.
    if (only === null) await insertHosts(tx, id, [host], () => 'draining');
    await insertItems(tx, id, items, 0);
    await workflows.enqueue(tx, { kind: 'fleet-operation', subjectId: id });
    await tellOperation(tx, id);
  });
  return id;
}
