import { randomUUID } from 'node:crypto';
import { ServerGroupsQuery } from '@godwit/contract/schemas/compute/queries';
import { CreateServerGroup, ServerGroupAnswer, ServerGroupsAnswer } from '@godwit/contract/schemas/compute/server-groups';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { allows, assertAllowed } from '../../auth/policy.ts';
import { countAlone } from '../../quotas/demand-quota.ts';
import { readQuotas } from '../../quotas/read-quotas.ts';
import { usageOf } from '../../quotas/usage.ts';
import type { ServerGroupTable } from '../../store/core-tables.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { count, page } from '../query.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid } from './server-rows.ts';

type Row = Selectable<ServerGroupTable> & { readonly members: readonly string[] };

/** Groups with those of their members that are still there. */
const groups = (db: Db) =>
  db
    .selectFrom('server_group')
    .selectAll('server_group')
    .where('server_group.deleted_at', 'is', null)
    .select(
      sql<
        readonly string[]
      >`coalesce((select jsonb_agg(s.id order by s.created_at, s.id) from server_group_member m join server s on s.id = m.server_id
    where m.group_id = server_group.id and s.deleted_at is null), '[]')`.as('members'),
    );

function view(row: Row, minor: number): object {
  return {
    id: row.id,
    name: row.name,
    members: row.members,
    ...(minor >= 64
      ? { policy: row.policy, rules: row.max_server_per_host === null ? {} : { max_server_per_host: row.max_server_per_host } }
      : { policies: [row.policy], metadata: {} }),
    ...(minor >= 13 ? { project_id: row.project_id, user_id: row.user_id } : {}),
  };
}

async function groupOf(request: ComputeRequest<never>): Promise<Row> {
  const id = param(request, 'group');
  const row = isUuid(id) ? await groups(request.context.db).where('id', '=', id).executeTakeFirst() : undefined;
  if (row === undefined || (!request.caller.isAdmin && row.project_id !== request.caller.projectId))
    throw new GodwitError('NotFound', `Instance group ${id.slice(0, 120)} could not be found.`);
  return row;
}

async function create(request: ComputeRequest<CreateServerGroup>) {
  const { caller, context, minor } = request;
  assertAllowed(caller, 'os-server-groups:create');
  const { name, policy, policies, rules } = request.body.server_group;
  const chosen = policy ?? policies?.[0];
  if (chosen === undefined) throw new Error('the schema let a group without a policy through');
  const most = rules?.max_server_per_host === undefined ? null : Number(rules.max_server_per_host);
  if (most !== null && chosen !== 'anti-affinity')
    throw new GodwitError('BadRequest', `Only anti-affinity policy supports rules, not ${chosen}.`);
  const row = await context.db.transaction().execute(async (tx) => {
    await demandRoom(tx, caller);
    return tx
      .insertInto('server_group')
      .values({
        id: randomUUID(),
        name,
        policy: chosen,
        max_server_per_host: most,
        project_id: caller.projectId,
        user_id: caller.userId,
        deleted_at: null,
      })
      .returningAll()
      .executeTakeFirstOrThrow();
  });
  return { status: 200, body: { server_group: view({ ...row, members: [] }, minor) } };
}

/** Throws OverQuota when the project, or its user, has as many groups as allowed. */
async function demandRoom(tx: Tx, { projectId, userId }: Caller): Promise<void> {
  for (const user of [null, userId]) {
    const { server_groups: most } = await readQuotas(tx, projectId, user);
    if (most < 0) continue;
    await countAlone(tx, `server groups of ${projectId}`);
    if ((await usageOf(tx, projectId, user)).server_groups >= most)
      throw new GodwitError('OverQuota', 'Quota exceeded, too many server groups.');
  }
}

async function list(request: ComputeRequest<never>) {
  const { caller, query, context, minor } = request;
  assertAllowed(caller, 'os-server-groups:index');
  // Of who may not see all projects the wish is ignored, as in the reference.
  const all = query.has('all_projects') && allows(caller, 'os-server-groups:index:all_projects');
  const { limit } = page(query);
  let rows = groups(context.db)
    .orderBy('created_at')
    .orderBy('id')
    .limit(limit)
    .offset(count(query, 'offset') ?? 0);
  if (!all) rows = rows.where('project_id', '=', caller.projectId);
  return { status: 200, body: { server_groups: (await rows.execute()).map((row) => view(row, minor)) } };
}

export const serverGroupRoutes: readonly ComputeRoute[] = [
  route('GET', '/os-server-groups', { query: ServerGroupsQuery, response: ServerGroupsAnswer, handle: list }),
  route('POST', '/os-server-groups', { body: CreateServerGroup, response: ServerGroupAnswer, handle: create }),
  route('GET', '/os-server-groups/:group', {
    response: ServerGroupAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-server-groups:show');
      return { status: 200, body: { server_group: view(await groupOf(request), request.minor) } };
    },
  }),
  route('DELETE', '/os-server-groups/:group', {
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-server-groups:delete');
      const { id } = await groupOf(request);
      await request.context.db.updateTable('server_group').set({ deleted_at: new Date() }).where('id', '=', id).execute();
      return { status: 204 };
    },
  }),
];
