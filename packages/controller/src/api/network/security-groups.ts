import {
  type SecurityGroup,
  SecurityGroupBody,
  SecurityGroupCreate,
  SecurityGroupList,
  SecurityGroupUpdate,
} from '@godwit/contract/schemas/network/security-groups';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { createGroup, deleteGroup, type GroupRow, groupsWithRules, renameGroup } from '../../networks/security-group-rows.ts';
import { defaultGroup } from '../../networks/security-groups.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { Query } from '../query.ts';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';
import { secondTime } from '../time-format.ts';
import { fieldsOf, listAnswer } from './list-answer.ts';
import { assertOwner, ownerOf } from './network-access.ts';
import { ruleView } from './security-group-rule-view.ts';

export const securityGroupRoutes: readonly ServiceRoute[] = [
  {
    method: 'GET',
    path: '/v2.0/security-groups',
    response: SecurityGroupList,
    handle: async (request: ServiceRequest) => {
      const { context, caller, query } = request;
      await ensureDefaults(context.db, caller, query);
      const rows = await visibleGroups(context.db, caller).orderBy('created_at').orderBy('id').execute();
      return listAnswer('security_groups', await groupViews(context.db, rows), request);
    },
  },
  {
    method: 'POST',
    path: '/v2.0/security-groups',
    body: SecurityGroupCreate,
    response: SecurityGroupBody,
    handle: async ({ context, caller, body: { security_group: asked } }: ServiceRequest<SecurityGroupCreate>) => {
      const projectId = ownerOf(caller, asked, 'create_security_group');
      const group = await createGroup(context.db, projectId, asked.name ?? '', asked.description ?? '');
      return { status: 201, body: { security_group: await viewOf(context.db, group) } };
    },
  },
  {
    method: 'GET',
    path: '/v2.0/security-groups/:group',
    response: SecurityGroupBody,
    handle: async ({ context, caller, params, query }: ServiceRequest) => ({
      status: 200,
      body: { security_group: fieldsOf(await viewOf(context.db, await findGroup(context.db, caller, params['group'] ?? '')), query) },
    }),
  },
  {
    method: 'PUT',
    path: '/v2.0/security-groups/:group',
    body: SecurityGroupUpdate,
    response: SecurityGroupBody,
    handle: async ({ context, caller, params, body: { security_group: asked } }: ServiceRequest<SecurityGroupUpdate>) => {
      const found = await findGroup(context.db, caller, params['group'] ?? '');
      assertOwner(caller, found, 'update_security_group');
      const row = await renameGroup(context.db, found, asked);
      return { status: 200, body: { security_group: await viewOf(context.db, row) } };
    },
  },
  {
    method: 'DELETE',
    path: '/v2.0/security-groups/:group',
    response: null,
    handle: async ({ context, caller, params }: ServiceRequest) => {
      const found = await findGroup(context.db, caller, params['group'] ?? '');
      assertOwner(caller, found, 'delete_security_group');
      await deleteGroup(context.db, found);
      return { status: 204 };
    },
  },
];

/** Every project that is asked about is shown its default group; an admin may ask about others. */
async function ensureDefaults(db: Db, caller: Caller, query: Query): Promise<void> {
  await defaultGroup(db, caller.projectId);
  const others = [...(query.get('project_id') ?? []), ...(query.get('tenant_id') ?? [])].filter((id) => id !== caller.projectId);
  if (!caller.isAdmin || others.length === 0) return;
  for (const { id } of await db.selectFrom('identity_project').select('id').where('id', 'in', others).execute()) await defaultGroup(db, id);
}

export const visibleGroups = (db: Db, caller: Caller) =>
  db
    .selectFrom('security_group')
    .selectAll()
    .$if(!caller.isAdmin, (groups) => groups.where('project_id', '=', caller.projectId));

export async function findGroup(db: Db, caller: Caller, id: string): Promise<GroupRow> {
  const row = await visibleGroups(db, caller).where(sql<boolean>`id::text = ${id.toLowerCase()}`).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Security group ${id.slice(0, 255)} does not exist`);
  return row;
}

const groupViews = async (db: Db, rows: readonly GroupRow[]): Promise<readonly SecurityGroup[]> =>
  (await groupsWithRules(db, rows)).map(({ group, rules }) => ({
    id: group.id,
    name: group.name,
    description: group.description,
    stateful: true,
    shared: false,
    security_group_rules: rules.map((rule) => ruleView(rule, group.project_id)),
    tags: [],
    tenant_id: group.project_id,
    project_id: group.project_id,
    created_at: secondTime(group.created_at),
    updated_at: secondTime(group.updated_at),
    revision_number: 1,
  }));

async function viewOf(db: Db, row: GroupRow): Promise<SecurityGroup> {
  const [view] = await groupViews(db, [row]);
  if (view === undefined) throw new GodwitError('Internal', 'a group was not shown');
  return view;
}
