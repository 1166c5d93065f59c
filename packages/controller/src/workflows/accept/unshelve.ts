import { GodwitError } from '@godwit/domain/errors';
import type { HostId, ServerId } from '@godwit/domain/ids';
import { defaultZone } from '@godwit/domain/scheduling/host-state';
import { sql } from 'kysely';
import { zoneOfHost } from '../../hosts/host-zone.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { demandTarget } from './live-migrate.ts';
import { lockForAction } from './lock-server.ts';

export type UnshelveRequest = {
  /** The zone that it stays in from now on; null: in none; absent: as before. */
  readonly zone?: string | null;
  /** null: the scheduler picks. */
  readonly host: string | null;
};

export type UnshelveInput = {
  readonly actionId: number;
  readonly requestedHost: string | null;
  readonly excluded?: readonly { readonly id: HostId; readonly reason: string }[];
};

/**
 * Accepts that a shelved server runs again: where its disk still is, or, offloaded, wherever the scheduler puts it. Throws what the API answers, nothing changed: the refusals of the action table, Conflict for
 * a zone or host where it is not offloaded or for a host outside its zone, BadRequest for an unknown zone, HostNotFound, BareMetalTarget, SourceServiceDown.
 */
export async function acceptUnshelve(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: UnshelveRequest,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'unshelve', serverId, caller);
    const { host } = request;
    if ((request.zone !== undefined || host !== null) && server.vm_state !== 'shelved_offloaded')
      throw new GodwitError(
        'Conflict',
        `Specifying an availability zone or a host when unshelving server "${serverId}" with status "${server.vm_state}" is not supported. The server status must be SHELVED_OFFLOADED.`,
      );
    if (request.zone !== undefined && request.zone !== null) await demandZone(tx, request.zone);
    const zone = request.zone === undefined ? server.requested_zone : request.zone;
    if (host !== null) {
      await demandTarget(tx, host);
      if (zone !== null) await demandInZone(tx, host, zone);
    }
    if (server.vm_state === 'shelved') await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    await tx
      .updateTable('server')
      .set({ task_state: 'unshelving', requested_zone: zone, updated_at: new Date() })
      .where('id', '=', serverId)
      .execute();
    // The requested host is of this request alone: it is not remembered with the server.
    const input: UnshelveInput = { actionId: await recordAction(tx, serverId, 'unshelve', caller), requestedHost: host };
    await workflows.enqueue(tx, { kind: 'unshelve-server', subjectId: serverId, input });
    await tellServer(tx, serverId);
  });
}

async function demandZone(tx: Tx, zone: string): Promise<void> {
  if (zone === defaultZone) return;
  const known = await tx
    .selectFrom('aggregate')
    .select('id')
    .where('deleted_at', 'is', null)
    .where(sql<string | null>`metadata ->> 'availability_zone'`, '=', zone)
    .executeTakeFirst();
  if (known === undefined) throw new GodwitError('BadRequest', 'The requested availability zone is not available');
}

async function demandInZone(tx: Tx, host: string, zone: string): Promise<void> {
  const found = await tx
    .selectFrom('host')
    .select(zoneOfHost('host.id').as('zone'))
    .where('name', '=', host)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (found?.zone !== zone) throw new GodwitError('Conflict', `Host "${host}" is not in the availability zone "${zone}".`);
}
