import { always } from '@godwit/contract/schemas/closed';
import {
  AggregateAction,
  AggregateAnswer,
  AggregateCreateAnswer,
  AggregateListAnswer,
  AggregateUpdateAnswer,
  aggregateActions,
  CreateAggregate,
  UpdateAggregate,
} from '@godwit/contract/schemas/compute/aggregates';
import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { assertAllowed } from '../../../auth/policy.ts';
import type { AggregateTable } from '../../../store/core-tables.ts';
import type { Db } from '../../../store/database.ts';
import { assertBody } from '../../json-body.ts';
import { microTime } from '../../time-format.ts';
import { type ComputeRequest, param, route } from '../route.ts';
import { addHost, removeHost, setMetadata, zoneKey } from './change-aggregate.ts';

export type AggregateRow = Selectable<AggregateTable> & { readonly hosts: readonly string[] };

const aggregateRows = (db: Db) =>
  db
    .selectFrom('aggregate')
    .selectAll('aggregate')
    .select(
      sql<
        string[]
      >`coalesce((select array_agg(h.name order by h.api_id) from aggregate_host ah join host h on h.id = ah.host_id where ah.aggregate_id = aggregate.id), '{}')`.as(
        'hosts',
      ),
    )
    .where('deleted_at', 'is', null)
    .orderBy('id');

const fields = (row: Selectable<AggregateTable>, minor: number) => ({
  id: row.id,
  name: row.name,
  availability_zone: row.metadata[zoneKey] ?? null,
  created_at: microTime(row.created_at),
  updated_at: row.updated_at === null ? null : microTime(row.updated_at),
  deleted: false,
  deleted_at: null,
  ...(minor >= 41 ? { uuid: row.uuid } : {}),
});
const view = (row: AggregateRow, minor: number) => ({ ...fields(row, minor), hosts: row.hosts, metadata: row.metadata });

function idOf(request: ComputeRequest<never>): number {
  const id = param(request, 'aggregate');
  if (!/^\d{1,9}$/.test(id))
    throw new GodwitError('BadRequest', `Invalid input for field/attribute id. Value: ${id.slice(0, 60)}. must be an integer`);
  return Number(id);
}

async function find(request: ComputeRequest<never>): Promise<AggregateRow> {
  const id = idOf(request);
  const row = await aggregateRows(request.context.db).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Aggregate ${id} could not be found.`);
  return row;
}

/** A name that another aggregate has violates the unique index. */
async function named<T>(name: string | undefined, write: Promise<T>): Promise<T> {
  try {
    return await write;
  } catch (error) {
    if (error instanceof Error && 'code' in error && error.code === '23505')
      throw new GodwitError('Conflict', `Aggregate ${name ?? ''} already exists.`, {}, { cause: error });
    throw error;
  }
}

async function create(request: ComputeRequest<CreateAggregate>) {
  assertAllowed(request.caller, 'os-aggregates:create');
  const { name, availability_zone: zone } = request.body.aggregate;
  const metadata = zone === undefined || zone === null ? {} : { [zoneKey]: zone };
  const row = await named(
    name,
    request.context.db
      .insertInto('aggregate')
      .values({ name, metadata: JSON.stringify(metadata) })
      .returningAll()
      .executeTakeFirstOrThrow(),
  );
  return { status: 200, body: { aggregate: fields(row, request.minor) } };
}

async function update(request: ComputeRequest<UpdateAggregate>) {
  assertAllowed(request.caller, 'os-aggregates:update');
  const { name, availability_zone: zone } = request.body.aggregate;
  const { id } = await find(request as ComputeRequest<never>);
  await named(
    name,
    request.context.db.transaction().execute(async (tx) => {
      if (zone !== undefined) await setMetadata(tx, id, { [zoneKey]: zone });
      await tx
        .updateTable('aggregate')
        .set({ ...(name === undefined ? {} : { name }), updated_at: new Date() })
        .where('id', '=', id)
        .execute();
    }),
  );
  return { status: 200, body: { aggregate: view(await find(request as ComputeRequest<never>), request.minor) } };
}

async function act(request: ComputeRequest<Readonly<Record<string, unknown>>>) {
  const [[action = '', body] = []] = Object.entries(request.body);
  if (!Object.hasOwn(aggregateActions, action)) throw new GodwitError('BadRequest', `There is no such action: ${action.slice(0, 60)}`);
  const known = action as keyof typeof aggregateActions;
  assertBody(aggregateActions[known], body);
  assertAllowed(request.caller, `os-aggregates:${known}`);
  const id = idOf(request as ComputeRequest<never>);
  const checked = request.body as AggregateAction;
  await request.context.db
    .transaction()
    .execute((tx) =>
      'add_host' in checked
        ? addHost(tx, id, checked.add_host.host)
        : 'remove_host' in checked
          ? removeHost(tx, id, checked.remove_host.host)
          : setMetadata(tx, id, checked.set_metadata.metadata),
    );
  return { status: 200, body: { aggregate: view(await find(request as ComputeRequest<never>), request.minor) } };
}

export const aggregateRoutes = [
  route('GET', '/os-aggregates', {
    response: AggregateListAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-aggregates:index');
      return {
        status: 200,
        body: { aggregates: (await aggregateRows(request.context.db).execute()).map((row) => view(row, request.minor)) },
      };
    },
  }),
  route('POST', '/os-aggregates', { body: always(CreateAggregate), response: AggregateCreateAnswer, handle: create }),
  route('GET', '/os-aggregates/:aggregate', {
    response: AggregateAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-aggregates:show');
      return { status: 200, body: { aggregate: view(await find(request), request.minor) } };
    },
  }),
  route('PUT', '/os-aggregates/:aggregate', { body: always(UpdateAggregate), response: AggregateUpdateAnswer, handle: update }),
  route('POST', '/os-aggregates/:aggregate/action', { body: always(AggregateAction), response: AggregateAnswer, handle: act }),
  route('DELETE', '/os-aggregates/:aggregate', {
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-aggregates:delete');
      const { id } = await find(request);
      await request.context.db.transaction().execute(async (tx) => {
        await tx.selectFrom('aggregate').select('id').where('id', '=', id).forUpdate().execute();
        const host = await tx.selectFrom('aggregate_host').select('host_id').where('aggregate_id', '=', id).limit(1).executeTakeFirst();
        if (host !== undefined) throw new GodwitError('BadRequest', `Cannot remove aggregate ${id}: Host aggregate is not empty.`);
        await tx.updateTable('aggregate').set({ deleted_at: new Date() }).where('id', '=', id).execute();
      });
      return { status: 200 };
    },
  }),
];
