import { randomUUID } from 'node:crypto';
import { fencingWarning } from '@godwit/domain/custody/fencing';
import { GodwitError } from '@godwit/domain/errors';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { recordEvent } from '../../events/record-event.ts';
import { fenceHost } from '../../hosts/fence-host.ts';
import { type Db, inTransaction, type Tx } from '../../store/database.ts';
import { demandTarget } from '../accept/live-migrate.ts';
import { lockForAction } from '../accept/lock-server.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';

export type EvacuateRequest = {
  /** null: the scheduler picks. */
  readonly host: string | null;
};

/**
 * Accepts the evacuation of one server: it is restarted from its disk on another host, under a new custody epoch. Throws, nothing changed: the refusals of the action table, HostNotFound, BareMetalTarget,
 * SameHost, InvalidSharedStorage when a disk went with its host, MigrationPreCheck while the host answers, and Conflict when it is silent and nobody has said that it is dead: silence says nothing about
 * its guests. Forcing a silent host down is that word; the host is fenced then.
 */
export async function acceptEvacuate(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: EvacuateRequest,
): Promise<MigrationId> {
  return inTransaction(db, async (tx) => {
    const server = await lockForAction(tx, 'evacuate', serverId, caller);
    const dead = await demandDead(tx, server.host_id);
    if (request.host !== null) {
      await demandTarget(tx, request.host);
      if (request.host === server.hostName)
        throw new GodwitError('SameHost', `The target host can't be the same one: instance ${server.id} is on ${server.hostName}.`);
    }
    await demandDisksElsewhere(tx, serverId);
    const open = await tx
      .selectFrom('migration')
      .select('id')
      .where('server_id', '=', server.id)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    if (open !== undefined) throw new GodwitError('InvalidState', `Instance ${server.id} has a migration that has not ended: ${open.id}.`);
    // Everything on the host is settled by it, not this server alone.
    if (!dead.fenced) await fenceHost(tx, workflows, caller, dead.name);
    const id = as<MigrationId>(randomUUID());
    await tx
      .updateTable('server')
      .set({ task_state: 'rebuilding', progress: 0, updated_at: new Date() })
      .where('id', '=', serverId)
      .execute();
    const state = { status: 'accepted', phase: 'accepted' } as const;
    await tx
      .insertInto('migration')
      .values({
        id,
        server_id: serverId,
        type: 'evacuation',
        ...state,
        source_host_id: server.host_id,
        requested_host: request.host,
        previous_vm_state: server.vm_state,
        timeline: JSON.stringify([{ at: Date.now(), clock: 'controller', what: 'phase', detail: 'accepted' }]),
        user_id: caller.userId,
        project_id: caller.projectId,
        request_id: caller.requestId,
      })
      .execute();
    const actionId = await recordAction(tx, serverId, 'evacuate', caller);
    await workflows.enqueue(tx, { kind: 'evacuate-server', subjectId: id, input: { serverId, actionId } });
    await tellServer(tx, serverId);
    await recordEvent(tx, { kind: 'migration', subjectId: id, projectId: server.project_id, data: { id, serverId, ...state } });
    return id;
  });
}

/** The host, fenced or forced down while it is silent. Throws otherwise, in the words of the compute API where it has some. */
async function demandDead(tx: Tx, hostId: string | null): Promise<{ readonly name: string; readonly fenced: boolean }> {
  const host =
    hostId === null
      ? undefined
      : await tx.selectFrom('host').select(['name', 'reachable', 'forced_down', 'fenced_at']).where('id', '=', hostId).executeTakeFirst();
  if (host === undefined) throw new GodwitError('Conflict', 'It is on no host.');
  if (host.fenced_at !== null) return { name: host.name, fenced: true };
  if (host.reachable) throw new GodwitError('MigrationPreCheck', `Compute service of ${host.name} is still in use.`);
  if (host.forced_down) return { name: host.name, fenced: false };
  throw new GodwitError(
    'Conflict',
    `Host ${host.name} does not answer, and nobody has said that it is dead. Fence it (POST /godwit/v1/hosts/${host.name}/fence), or force its service down, first. ${fencingWarning(host.name)}`,
  );
}

/** Throws InvalidSharedStorage when a disk is on the dead host alone. */
async function demandDisksElsewhere(tx: Tx, serverId: ServerId): Promise<void> {
  const local = await tx
    .selectFrom('disk')
    .select('pool')
    .where('server_id', '=', serverId)
    .where('storage', '=', 'local')
    .executeTakeFirst();
  if (local !== undefined) throw new GodwitError('InvalidSharedStorage', localDiskSentence(serverId, local.pool));
}

export const localDiskSentence = (serverId: string, pool: string): string =>
  `Instance ${serverId} has a disk in the local pool ${pool} of its host: it went with the host, and cannot be started elsewhere.`;
