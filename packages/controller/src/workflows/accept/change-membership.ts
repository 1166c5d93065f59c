import { GodwitError } from '@godwit/domain/errors';
import { isAllowed, policyMessage } from '@godwit/domain/server-states';
import { sql } from 'kysely';
import { demandGroupMembers } from '../../quotas/demand-quota.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import { tellServer } from '../record/server-event.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * Takes a server out of a group, so that a move which the group's rule forbids can be asked for. Nothing moves. Throws, nothing changed: NotFound for a group, server
 * or membership that is not there (or another project's), Forbidden for a reader, Conflict while the server has a task.
 */
export async function removeMember(db: Db, caller: Caller, groupId: string, serverId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const { group, server } = await lockBoth(tx, caller, groupId, serverId);
    const { numDeletedRows } = await tx
      .deleteFrom('server_group_member')
      .where('group_id', '=', group.id)
      .where('server_id', '=', server.id)
      .executeTakeFirst();
    if (numDeletedRows === 0n) throw new GodwitError('NotFound', `Instance ${server.id} is not a member of instance group ${group.id}.`);
    await tellServer(tx, server.id);
  });
}

/**
 * Puts a server into a group where it is: nothing moves, and what then does not keep the rule is shown as a violation. A member stays one. Throws, nothing changed, as
 * `removeMember`, Conflict for a server of another project or of another group, and OverQuota.
 */
export async function addMember(db: Db, caller: Caller, groupId: string, serverId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const { group, server } = await lockBoth(tx, caller, groupId, serverId);
    if (server.project_id !== group.project_id)
      throw new GodwitError('Conflict', `Instance ${server.id} and instance group ${group.id} belong to different projects.`);
    // Under the server's lock: of two requests that name different groups one comes second and sees this.
    const other = await tx
      .selectFrom('server_group_member')
      .innerJoin('server_group', 'server_group.id', 'server_group_member.group_id')
      .select('server_group.id')
      .where('server_group_member.server_id', '=', server.id)
      .where('server_group.id', '<>', group.id)
      .where('server_group.deleted_at', 'is', null)
      .executeTakeFirst();
    if (other !== undefined) throw new GodwitError('Conflict', `Instance ${server.id} is a member of instance group ${other.id} already.`);
    const { rows: present } = await sql`select from server_group_member where group_id = ${group.id} and server_id = ${server.id}`.execute(
      tx,
    );
    if (present.length === 0) await demandGroupMembers(tx, { id: group.id, projectId: group.project_id }, 1);
    await tx
      .insertInto('server_group_member')
      .values({ group_id: group.id, server_id: server.id })
      .onConflict((conflict) => conflict.doNothing())
      .execute();
    await tellServer(tx, server.id);
  });
}

/**
 * Both rows locked, the server first: whoever accepts an action holds its server and then asks for the group (checks before the answer). A placement holds the group and then
 * writes its server; its server has a task, so that it is refused here before the group is waited for. With the group's lock a decision about another member either
 * ends before this or sees it.
 */
async function lockBoth(tx: Tx, caller: Caller, groupId: string, serverId: string) {
  if (!isAllowed('member', caller)) throw new GodwitError('Forbidden', policyMessage('godwit:server-groups:members'));
  const group = uuid.test(groupId)
    ? await tx
        .selectFrom('server_group')
        .select(['id', 'project_id'])
        .where('id', '=', groupId)
        .where('deleted_at', 'is', null)
        .executeTakeFirst()
    : undefined;
  const hidden = (row: { readonly project_id: string }): boolean => !caller.isAdmin && row.project_id !== caller.projectId;
  const noGroup = (): GodwitError => new GodwitError('NotFound', `Instance group ${groupId.slice(0, 120)} could not be found.`);
  if (group === undefined || hidden(group)) throw noGroup();
  const server = uuid.test(serverId)
    ? await tx
        .selectFrom('server')
        .select(['id', 'project_id', 'task_state'])
        .where('id', '=', serverId)
        .where('deleted_at', 'is', null)
        .forUpdate()
        .executeTakeFirst()
    : undefined;
  if (server === undefined || hidden(server))
    throw new GodwitError('ServerNotFound', `Instance ${serverId.slice(0, 120)} could not be found.`);
  if (server.task_state !== null)
    throw new GodwitError(
      'Conflict',
      `The groups of instance ${server.id} cannot be changed while it is in task_state ${server.task_state}.`,
    );
  const locked = await tx
    .selectFrom('server_group')
    .select('id')
    .where('id', '=', group.id)
    .where('deleted_at', 'is', null)
    .forUpdate()
    .executeTakeFirst();
  if (locked === undefined) throw noGroup();
  return { group, server };
}
