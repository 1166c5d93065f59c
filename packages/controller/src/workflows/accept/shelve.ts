import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { ShelvedColumn } from '../../store/core-tables.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction, recordFact } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { insertServerImage } from './insert-server-image.ts';
import { lockForAction } from './lock-server.ts';

export type ShelveInput = {
  readonly actionId: number;
  readonly imageId: string;
  /** Its place on its host is given up as well. */
  readonly offloads: boolean;
};

/** A disk that could not be given up is tried again after this. */
const TRY_AGAIN_MS = 600_000;

/**
 * Accepts a shelving: the guest is shut down and its disk kept as an image. `offloadSeconds` 0: its place on its host is given up at once. Throws what the API answers, nothing changed: the refusals of the
 * action table, SourceServiceDown, BadRequest for a server without a disk, NotImplemented for bare metal.
 */
export async function acceptShelve(
  db: Db,
  workflows: Workflows,
  offloadSeconds: number,
  caller: Caller,
  serverId: ServerId,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'shelve', serverId, caller);
    if (server.hypervisorType === 'ironic')
      throw new GodwitError('NotImplemented', 'Bare metal instances are not shelved in this version.');
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    const imageId = await insertServerImage(tx, caller, server, { name: `${server.name}-shelved`, metadata: {}, backupType: null });
    const shelved: ShelvedColumn = { imageId, at: null, failedAt: null, replaced: [] };
    await tx
      .updateTable('server')
      .set({ task_state: 'shelving', shelved: JSON.stringify(shelved), updated_at: new Date() })
      .where('id', '=', serverId)
      .execute();
    const actionId = await recordAction(tx, serverId, 'shelve', caller);
    await enqueue(tx, workflows, serverId, { actionId, imageId, offloads: offloadSeconds === 0 });
  });
}

/** Accepts that a shelved server gives up its place on its host. Throws the refusals of the action table. */
export async function acceptOffload(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'shelve-offload', serverId, caller);
    await beginOffload(tx, workflows, server, await recordAction(tx, serverId, 'shelveOffload', caller));
  });
}

/** Offloads servers that have been shelved for longer than the window, as if an admin had asked for it; whichever controller comes first. Returns the servers. */
export async function offloadOverdue(db: Db, workflows: Workflows, windowMs: number): Promise<readonly ServerId[]> {
  const since = (key: 'at' | 'failedAt') => sql<Date | null>`(server.shelved ->> ${sql.lit(key)})::timestamptz`;
  const overdue = await db
    .selectFrom('server')
    .innerJoin('host', 'host.id', 'server.host_id')
    .select('server.id')
    .where('server.vm_state', '=', 'shelved')
    .where('server.task_state', 'is', null)
    .where('server.deleted_at', 'is', null)
    .where('host.reachable', '=', true)
    .where(since('at'), '<', new Date(Date.now() - windowMs))
    .where((eb) => eb.or([eb(since('failedAt'), 'is', null), eb(since('failedAt'), '<', new Date(Date.now() - TRY_AGAIN_MS))]))
    .execute();
  const begun: ServerId[] = [];
  for (const { id } of overdue) {
    await db.transaction().execute(async (tx) => {
      const server = await tx
        .selectFrom('server')
        .select(['id', 'project_id', 'shelved'])
        .where('id', '=', id)
        .where('vm_state', '=', 'shelved')
        .where('task_state', 'is', null)
        .where('deleted_at', 'is', null)
        .forUpdate()
        .executeTakeFirst();
      if (server === undefined) return;
      const why = `It has been shelved for longer than ${Math.round(windowMs / 1_000)} s.`;
      await beginOffload(tx, workflows, server, await recordFact(tx, server, 'shelveOffload', why));
      begun.push(as<ServerId>(id));
    });
  }
  return begun;
}

async function beginOffload(
  tx: Tx,
  workflows: Workflows,
  { id, shelved }: { readonly id: string; readonly shelved: ShelvedColumn | null },
  actionId: number,
): Promise<void> {
  if (shelved === null) throw new GodwitError('InvalidState', `Instance ${id} has no image that its disk is kept in.`);
  await tx.updateTable('server').set({ task_state: 'shelving_offloading', updated_at: new Date() }).where('id', '=', id).execute();
  await enqueue(tx, workflows, as<ServerId>(id), { actionId, imageId: shelved.imageId, offloads: true });
}

async function enqueue(tx: Tx, workflows: Workflows, serverId: ServerId, input: ShelveInput): Promise<void> {
  await workflows.enqueue(tx, { kind: 'shelve-server', subjectId: serverId, input });
  await tellServer(tx, serverId);
}
