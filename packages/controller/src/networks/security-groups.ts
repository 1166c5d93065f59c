import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db, Tx } from '../store/database.ts';
import { noteChange } from './note-change.ts';

/**
 * The project's group `default`, made when it is first needed: everything out, and in from its own members only. Safe to call at once from several transactions.
 * A caller that only reads calls it too: the API shows the group before anything uses it.
 */
export async function defaultGroup(db: Db, projectId: string): Promise<string> {
  const find = () =>
    db.selectFrom('security_group').select('id').where('project_id', '=', projectId).where('name', '=', 'default').executeTakeFirst();
  const known = await find();
  if (known !== undefined) return known.id;
  const id = randomUUID();
  // Group and rules in one statement: nobody sees the group without them.
  await sql`
    with made as (
      insert into security_group (id, project_id, name, description) values (${id}, ${projectId}, 'default', 'Default security group')
      on conflict (project_id) where name = 'default' do nothing returning id
    )
    insert into security_group_rule (id, security_group_id, direction, ip_version, remote_group_id)
    select gen_random_uuid(), made.id, direction, version, case direction when 'ingress' then made.id end
    from made, unnest(array['egress', 'ingress']) direction, unnest(array[4, 6]) version`.execute(db);
  const made = await find();
  if (made === undefined) throw new GodwitError('Internal', `the default security group of project ${projectId} was not made`);
  return made.id;
}

/** The groups that a new port of the project has when none are named: by id or, as the compute API does, by name. Throws NotFound; Conflict for a name that several have. */
export async function findGroups(db: Db, projectId: string, asked: readonly string[]): Promise<readonly string[]> {
  if (asked.includes('default')) await defaultGroup(db, projectId);
  const rows =
    asked.length === 0
      ? []
      : await db
          .selectFrom('security_group')
          .select(['id', 'name'])
          .where('project_id', '=', projectId)
          .where((eb) => eb.or([eb('name', 'in', [...asked]), eb(sql<string>`id::text`, 'in', [...asked])]))
          .execute();
  const ids = asked.map((one) => {
    const byId = rows.find(({ id }) => id === one);
    const [named, another] = rows.filter(({ name }) => name === one);
    if (byId !== undefined) return byId.id;
    if (another !== undefined)
      throw new GodwitError('Conflict', `Multiple security groups found matching '${one.slice(0, 255)}'. Use an ID to be more specific.`);
    if (named === undefined) throw new GodwitError('NotFound', `Security group ${one.slice(0, 255)} not found for project ${projectId}.`);
    return named.id;
  });
  return [...new Set(ids)];
}

/** Gives a port these groups in place of those it has, in the caller's transaction. Throws NotFound for one that is gone. */
export async function setPortGroups(tx: Tx, portId: string, groupIds: readonly string[]): Promise<void> {
  const before = await tx.deleteFrom('port_security_group').where('port_id', '=', portId).returning('security_group_id').execute();
  await giveGroups(
    tx,
    portId,
    groupIds,
    before.map((row) => row.security_group_id),
  );
}

/** Gives a port that has none these groups; `before` are those that it had in this transaction. Throws NotFound for one that is gone. */
export async function giveGroups(tx: Tx, portId: string, groupIds: readonly string[], before: readonly string[]): Promise<void> {
  if (groupIds.length > 0) {
    const inserted = await tx
      .insertInto('port_security_group')
      .columns(['port_id', 'security_group_id'])
      .expression((eb) =>
        eb
          .selectFrom('security_group')
          .select([sql<string>`${portId}::uuid`.as('port_id'), 'id'])
          .where('id', 'in', [...groupIds])
          .forKeyShare(),
      )
      .returning('security_group_id')
      .execute();
    if (inserted.length !== new Set(groupIds).size) throw new GodwitError('NotFound', 'A security group of the port could not be found.');
  }
  await noteChange(tx, [{ kind: 'port', id: portId }, ...[...before, ...groupIds].map((id) => ({ kind: 'group', id }) as const)]);
}

/** A port goes, or changes its addresses: whoever names its groups as their remote side must hear of it. Called while it still has them. */
export async function noteMember(tx: Tx, portIds: readonly string[]): Promise<void> {
  if (portIds.length === 0) return;
  const rows = await tx
    .selectFrom('port_security_group')
    .select('security_group_id')
    .distinct()
    .where('port_id', 'in', [...portIds])
    .execute();
  await noteChange(tx, [
    ...rows.map(({ security_group_id }) => ({ kind: 'group', id: security_group_id }) as const),
    ...portIds.map((id) => ({ kind: 'port', id }) as const),
  ]);
}
