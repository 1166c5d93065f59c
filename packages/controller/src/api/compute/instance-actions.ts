import { InstanceActionAnswer, InstanceActionsAnswer } from '@godwit/contract/schemas/compute/instance-actions';
import { InstanceActionsQuery } from '@godwit/contract/schemas/compute/queries';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { allows, assertAllowed } from '../../auth/policy.ts';
import type { InstanceActionTable } from '../../store/core-tables.ts';
import { nextQuery, one, page, time } from '../query.ts';
import { microTime } from '../time-format.ts';
import { type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { isUuid, serverNotFound } from './server-rows.ts';
import { hostIdOf } from './server-view.ts';

type Row = Selectable<InstanceActionTable>;

/** From 2.21 on the history outlives its server. */
async function serverOf(request: ComputeRequest<never>): Promise<{ readonly id: string; readonly project_id: string }> {
  const id = param(request, 'server');
  const row = isUuid(id)
    ? await request.context.db.selectFrom('server').select(['id', 'project_id', 'deleted_at']).where('id', '=', id).executeTakeFirst()
    : undefined;
  if (
    row === undefined ||
    (row.deleted_at !== null && request.minor < 21) ||
    (!request.caller.isAdmin && row.project_id !== request.caller.projectId)
  )
    throw serverNotFound(id);
  return row;
}

const view = (row: Row, minor: number): object => ({
  action: row.action,
  instance_uuid: row.server_id,
  request_id: row.request_id,
  user_id: row.user_id,
  project_id: row.project_id,
  start_time: microTime(row.start_time),
  message: row.message,
  ...(minor >= 58 ? { updated_at: microTime(row.updated_at) } : {}),
});

async function list(request: ComputeRequest<never>) {
  const { query, minor, context } = request;
  assertAllowed(request.caller, 'os-instance-actions:list');
  const server = await serverOf(request);
  let rows = context.db.selectFrom('instance_action').selectAll().where('server_id', '=', server.id).orderBy('id', 'desc');
  if (minor < 58) return { status: 200, body: { instanceActions: (await rows.execute()).map((row) => view(row, minor)) } };
  const { limit, marker } = page(query);
  const [since, before] = [time(query, 'changes-since'), time(query, 'changes-before')];
  if (since !== null && before !== null && since > before)
    throw new GodwitError('BadRequest', 'The value of changes-since must be less than or equal to changes-before.');
  if (since !== null) rows = rows.where('updated_at', '>=', since);
  if (before !== null) rows = rows.where('updated_at', '<=', before);
  if (marker !== null) {
    const at = await context.db
      .selectFrom('instance_action')
      .select('id')
      .where('server_id', '=', server.id)
      .where('request_id', '=', marker)
      .orderBy('id')
      .executeTakeFirst();
    if (at === undefined) throw new GodwitError('BadRequest', `Marker ${one(query, 'marker')?.slice(0, 120) ?? ''} could not be found.`);
    rows = rows.where('id', '<', at.id);
  }
  const found = limit === 0 ? [] : await rows.limit(limit).execute();
  const last = found.at(-1);
  const links =
    limit > 0 && found.length === limit && last !== undefined
      ? { links: [{ rel: 'next', href: `${request.base}${request.path.replace(/\/+$/, '')}?${nextQuery(query, last.request_id)}` }] }
      : {};
  return { status: 200, body: { instanceActions: found.map((row) => view(row, minor)), ...links } };
}

async function show(request: ComputeRequest<never>) {
  const { minor, context, caller } = request;
  assertAllowed(caller, 'os-instance-actions:show');
  const server = await serverOf(request);
  const requestId = param(request, 'request');
  const action = await context.db
    .selectFrom('instance_action')
    .selectAll()
    .where('server_id', '=', server.id)
    .where('request_id', '=', requestId)
    .orderBy('id')
    .executeTakeFirst();
  if (action === undefined)
    throw new GodwitError('NotFound', `Action for request_id ${requestId.slice(0, 120)} on instance ${server.id} not found`);
  const full = allows(caller, 'os-instance-actions:events');
  if (!full && minor < 51) return { status: 200, body: { instanceAction: view(action, minor) } };
  const events = await context.db
    .selectFrom('instance_action_event as e')
    .leftJoin('host as h', 'h.id', 'e.host_id')
    .selectAll('e')
    .select('h.name as host_name')
    .where('e.action_id', '=', action.id)
    .orderBy(sql`e.start_time`, 'desc')
    .orderBy('e.id', 'desc')
    .execute();
  return {
    status: 200,
    body: {
      instanceAction: {
        ...view(action, minor),
        events: events.map((event) => ({
          event: event.event,
          start_time: microTime(event.start_time),
          finish_time: event.finish_time === null ? null : microTime(event.finish_time),
          result: event.result,
          ...(full ? { traceback: event.traceback } : {}),
          ...(minor >= 62 ? { hostId: hostIdOf(server.project_id, event.host_name) } : {}),
          ...(minor >= 62 && full ? { host: event.host_name } : {}),
          ...(minor >= 84 && full ? { details: event.details } : {}),
        })),
      },
    },
  };
}

export const instanceActionRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/os-instance-actions', { query: InstanceActionsQuery, response: InstanceActionsAnswer, handle: list }),
  route('GET', '/servers/:server/os-instance-actions/:request', { response: InstanceActionAnswer, handle: show }),
];
