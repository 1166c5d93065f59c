import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import type { Db } from '../store/database.ts';
import type { NetworkTables } from '../store/network-tables.ts';
import { noteChange } from './note-change.ts';
import type { RuleRow } from './security-group-rules.ts';
import { defaultGroup } from './security-groups.ts';

export type GroupRow = Selectable<NetworkTables['security_group']>;

/** A new group lets everything out and nothing in. Throws Conflict for a second `default`. */
export async function createGroup(db: Db, projectId: string, name: string, description: string): Promise<GroupRow> {
  await defaultGroup(db, projectId);
  if (name === 'default') throw new GodwitError('Conflict', 'Default security group already exists.');
  return await db.transaction().execute(async (tx) => {
    const row = await tx
      .insertInto('security_group')
      .values({ id: randomUUID(), project_id: projectId, name, description })
      .returningAll()
      .executeTakeFirstOrThrow();
    await tx
      .insertInto('security_group_rule')
      .values(
        ([4, 6] as const).map((version) => ({
          id: randomUUID(),
          security_group_id: row.id,
          direction: 'egress' as const,
          ip_version: version,
          protocol: null,
          port_min: null,
          port_max: null,
          remote_prefix: null,
          remote_group_id: null,
        })),
      )
      .execute();
    return row;
  });
}

/** Throws Conflict: the group `default` keeps its name, and no other takes it. */
export async function renameGroup(
  db: Db,
  group: GroupRow,
  asked: { readonly name?: string; readonly description?: string },
): Promise<GroupRow> {
  if (asked.name !== undefined && asked.name !== group.name && (group.name === 'default' || asked.name === 'default'))
    throw new GodwitError('Conflict', 'Updating default security group not allowed.');
  const row = await db
    .updateTable('security_group')
    .set({
      ...(asked.name === undefined ? {} : { name: asked.name }),
      ...(asked.description === undefined ? {} : { description: asked.description }),
      updated_at: sql`now()`,
    })
    .where('id', '=', group.id)
    .returningAll()
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Security group ${group.id} does not exist`);
  return row;
}

/** Throws Conflict for the group `default` and for one that a port has. Rules of other groups that name it go with it, as they do in Neutron. */
export async function deleteGroup(db: Db, group: GroupRow): Promise<void> {
  if (group.name === 'default') throw new GodwitError('Conflict', 'Insufficient rights for removing default security group.');
  await db.transaction().execute(async (tx) => {
    // A port that is being given the group holds a key share on it: this waits for it, and then sees it.
    await tx.selectFrom('security_group').select('id').where('id', '=', group.id).forUpdate().execute();
    const used = await tx
      .selectFrom('port_security_group')
      .select('port_id')
      .where('security_group_id', '=', group.id)
      .limit(1)
      .executeTakeFirst();
    if (used !== undefined) throw new GodwitError('Conflict', `Security Group ${group.id} in use.`);
    const naming = await tx
      .selectFrom('security_group_rule')
      .select('security_group_id')
      .distinct()
      .where('remote_group_id', '=', group.id)
      .where('security_group_id', '!=', group.id)
      .execute();
    await noteChange(
      tx,
      naming.map(({ security_group_id }) => ({ kind: 'group' as const, id: security_group_id })),
    );
    await tx.deleteFrom('security_group').where('id', '=', group.id).execute();
  });
}

/** Groups with their rules. */
export async function groupsWithRules(
  db: Db,
  rows: readonly GroupRow[],
): Promise<readonly { readonly group: GroupRow; readonly rules: readonly RuleRow[] }[]> {
  const rules =
    rows.length === 0
      ? []
      : await db
          .selectFrom('security_group_rule')
          .selectAll()
          .where(
            'security_group_id',
            'in',
            rows.map(({ id }) => id),
          )
          .orderBy('created_at')
          .orderBy('id')
          .execute();
  const byGroup = Map.groupBy(rules, (rule) => rule.security_group_id);
  return rows.map((group) => ({ group, rules: byGroup.get(group.id) ?? [] }));
}
