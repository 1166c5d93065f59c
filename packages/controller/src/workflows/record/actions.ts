import { randomUUID } from 'node:crypto';
import { type RawBuilder, sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import type { Caller } from '../operations.ts';

/** An action of a server: by its id, or as what a request id started there (nothing is written when it was pruned). */
export type ActionRef = number | { readonly serverId: string; readonly requestId: string };

const idOf = (action: ActionRef): RawBuilder<unknown> =>
  typeof action === 'number'
    ? sql`${action}::bigint`
    : sql`(select id from instance_action where server_id = ${action.serverId} and request_id = ${action.requestId} order by id limit 1)`;

/** Records that an action on a server was accepted, in a transaction that does not need its id. */
export async function noteAction(tx: Db, serverId: string, action: string, caller: Caller): Promise<void> {
  await sql`${later}insert into instance_action (server_id, action, request_id, user_id, project_id)
    values (${serverId}, ${action}, ${caller.requestId}, ${caller.userId}, ${caller.projectId})`.execute(tx);
}

/** Records that an action on a server was accepted; returns the action's id. */
export async function recordAction(tx: Db, serverId: string, action: string, caller: Caller): Promise<number> {
  const { id } = await tx
    .insertInto('instance_action')
    .values({ server_id: serverId, action, request_id: caller.requestId, user_id: caller.userId, project_id: caller.projectId })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}

/** Opens an event of an action; a run that begins again opens no second one of the same name. */
export async function beginEvent(tx: Db, action: ActionRef, event: string, hostId: string | null): Promise<void> {
  await sql`${later}insert into instance_action_event (action_id, event, host_id)
    select action.id, ${event}::text, ${hostId}::uuid from (select ${idOf(action)} as id) action where action.id is not null
    and not exists (select from instance_action_event e where e.action_id = action.id and e.event = ${event} and e.finish_time is null)`.execute(
    tx,
  );
}

/** Closes the open events of an action called `event`, with what is to be told of it; an error marks the action `Error` too, as its message, unless the action goes on. */
export async function finishEvent(
  tx: Db,
  action: ActionRef,
  event: string,
  result:
    | { readonly ok: true; readonly details?: string }
    | { readonly ok: false; readonly details: string; readonly actionGoesOn?: boolean },
): Promise<void> {
  const now = new Date();
  const spoils = !result.ok && result.actionGoesOn !== true;
  await sql`${later}with action as (select ${idOf(action)} as id), closed as (
      update instance_action_event
      set finish_time = ${now}::timestamptz, result = ${result.ok ? 'Success' : 'Error'}, details = ${result.details ?? null}
      where action_id = (select id from action) and event = ${event} and finish_time is null
    )
    update instance_action set updated_at = ${now}::timestamptz, message = case when ${spoils}::boolean then 'Error' else message end
    where id = (select id from action)`.execute(tx);
}

/** The action that a request id started on a server; null when it was pruned. */
export async function actionOf(db: Db, serverId: string, requestId: string): Promise<number | null> {
  const row = await db
    .selectFrom('instance_action')
    .select('id')
    .where('server_id', '=', serverId)
    .where('request_id', '=', requestId)
    .orderBy('id')
    .executeTakeFirst();
  return row?.id ?? null;
}

/** Records something that happened to a server by itself, as an action that nobody asked for; the message is the reason. Returns the action's id. */
export async function recordFact(
  tx: Db,
  server: { readonly id: string; readonly project_id: string },
  action: string,
  message: string,
): Promise<number> {
  const { id } = await tx
    .insertInto('instance_action')
    .values({ server_id: server.id, action, request_id: `req-${randomUUID()}`, user_id: null, project_id: server.project_id, message })
    .returning('id')
    .executeTakeFirstOrThrow();
  return id;
}
