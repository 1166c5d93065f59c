import { AddMember, type ServerGroupView } from '@godwit/contract/schemas/godwit/server-groups';
import { GodwitError } from '@godwit/domain/errors';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { explainViolation, groupViolations, type PlacedMember } from '@godwit/domain/scheduling/group-violations';
import type { TaskState, VmState } from '@godwit/domain/server';
import { isAllowed, policyMessage, serverStatus } from '@godwit/domain/server-states';
import type { FastifyInstance, FastifyRequest } from 'fastify';
import { type Selectable, sql } from 'kysely';
import type { AppContext } from '../../app-context.ts';
import type { ServerGroupTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { addMember, removeMember } from '../../workflows/accept/change-membership.ts';
import type { Caller } from '../../workflows/operations.ts';
import { assertBody } from '../json-body.ts';
import { requireCaller } from '../request-context.ts';

type MemberRow = {
  readonly id: string;
  readonly name: string;
  readonly vm_state: VmState;
  readonly task_state: TaskState;
  readonly host_id: string | null;
  readonly host_name: string | null;
};
type Row = Selectable<ServerGroupTable> & { readonly members: readonly MemberRow[] };

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/**
 * `/server-groups[/{id}]`: members, where they run (for admins) and what is not as the policy says; `DELETE` and `POST /server-groups/{id}/members/{server}`: the override of a hard
 * rule: take the server out, move it, put it back where it then is. For members of the group's project and admins; readers may look.
 */
export function serverGroupRoutes(app: FastifyInstance, { db }: Pick<AppContext, 'db'>): void {
  app.get('/server-groups', async (request) => {
    const caller = await viewer(db, request);
    let rows = groups(db).orderBy('server_group.created_at').orderBy('server_group.id');
    if (!caller.isAdmin) rows = rows.where('server_group.project_id', '=', caller.projectId);
    return { serverGroups: (await rows.execute()).map((row) => view(row, caller.isAdmin)) };
  });
  app.get('/server-groups/:id', async (request) => {
    const caller = await viewer(db, request);
    return { serverGroup: view(await groupOf(db, caller, (request.params as { readonly id: string }).id), caller.isAdmin) };
  });
  app.post('/server-groups/:id/members/:server', async (request) => {
    const caller = await requireCaller(db, request);
    const { id, server } = request.params as { readonly id: string; readonly server: string };
    if (request.body !== undefined && request.body !== null) assertBody(AddMember, request.body);
    await addMember(db, caller, id, server);
    return { serverGroup: view(await groupOf(db, caller, id), caller.isAdmin) };
  });
  app.delete('/server-groups/:id/members/:server', async (request, reply) => {
    const caller = await requireCaller(db, request);
    const { id, server } = request.params as { readonly id: string; readonly server: string };
    await removeMember(db, caller, id, server);
    return reply.code(204).send();
  });
}

async function viewer(db: Db, request: FastifyRequest): Promise<Caller> {
  const caller = await requireCaller(db, request);
  if (!isAllowed('reader', caller)) throw new GodwitError('Forbidden', policyMessage('godwit:server-groups:show'));
  return caller;
}

async function groupOf(db: Db, caller: Caller, id: string): Promise<Row> {
  const row = uuid.test(id) ? await groups(db).where('server_group.id', '=', id).executeTakeFirst() : undefined;
  if (row === undefined || (!caller.isAdmin && row.project_id !== caller.projectId))
    throw new GodwitError('NotFound', `Instance group ${id.slice(0, 120)} could not be found.`);
  return row;
}

const groups = (db: Db) =>
  db
    .selectFrom('server_group')
    .selectAll('server_group')
    .where('server_group.deleted_at', 'is', null)
    .select(
      sql<
        readonly MemberRow[]
      >`coalesce((select jsonb_agg(jsonb_build_object('id', s.id, 'name', s.name, 'vm_state', s.vm_state, 'task_state', s.task_state, 'host_id', h.id, 'host_name', h.name)
          order by s.created_at, s.id)
        from server_group_member m join server s on s.id = m.server_id left join host h on h.id = s.host_id
        where m.group_id = server_group.id and s.deleted_at is null), '[]')`.as('members'),
    );

function view(row: Row, isAdmin: boolean): ServerGroupView {
  const placed = row.members.map(
    ({ id, name, host_id, host_name }): PlacedMember => ({
      id: as<ServerId>(id),
      name,
      host: host_id === null || host_name === null ? null : { id: as<HostId>(host_id), name: host_name },
    }),
  );
  const violations = groupViolations({ policy: row.policy, maxServerPerHost: row.max_server_per_host }, placed);
  return {
    id: row.id,
    name: row.name,
    policy: row.policy,
    maxServerPerHost: row.max_server_per_host,
    projectId: row.project_id,
    userId: row.user_id,
    createdAt: row.created_at.toISOString(),
    members: row.members.map((member, index) => ({
      id: member.id,
      name: member.name,
      status: serverStatus(member.vm_state, member.task_state),
      taskState: member.task_state,
      ...(isAdmin ? { host: placed[index]?.host ?? null } : {}),
    })),
    violations: violations.map((violation) => ({
      code: violation.code,
      sentence: explainViolation(violation, isAdmin),
      serverIds: violation.members.map(({ id }) => id),
      ...(isAdmin ? { host: violation.code === 'AntiAffinity' ? violation.host : null } : {}),
    })),
  };
}
