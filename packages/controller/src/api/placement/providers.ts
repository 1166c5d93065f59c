import {
  AggregatesAnswer,
  InventoriesAnswer,
  InventoryAnswer,
  ProviderAllocationsAnswer,
  ProviderAnswer,
  ProviderListAnswer,
  ProviderTraitsAnswer,
  UsagesAnswer,
} from '@godwit/contract/schemas/placement/placement';
import { ProvidersQuery } from '@godwit/contract/schemas/placement/queries';
import { GodwitError } from '@godwit/domain/errors';
import { type PlacementRequest, type PlacementRoute, reading } from './placement-context.ts';
import { providerFilter } from './provider-filters.ts';
import { amountsOf, inventoriesOf, type ProviderRow, providerRows, traitsOf } from './provider-rows.ts';

function view(row: ProviderRow, { minor, base }: PlacementRequest): object {
  const self = `${new URL(base).pathname}/resource_providers/${row.id}`;
  const subs = [
    'inventories',
    'usages',
    ...(minor >= 1 ? ['aggregates'] : []),
    ...(minor >= 6 ? ['traits'] : []),
    ...(minor >= 11 ? ['allocations'] : []),
  ];
  return {
    uuid: row.id,
    name: row.name,
    generation: row.generation,
    links: [{ rel: 'self', href: self }, ...subs.map((rel) => ({ rel, href: `${self}/${rel}` }))],
    ...(minor >= 14 ? { parent_provider_uuid: null, root_provider_uuid: row.id } : {}),
  };
}

async function find({ context, params }: PlacementRequest): Promise<ProviderRow> {
  const id = params['provider'] ?? '';
  const row = (await providerRows(context.db)).find((one) => one.id === id.toLowerCase());
  if (row === undefined) throw new GodwitError('NotFound', `No resource provider with uuid ${id.slice(0, 255)} found`);
  return row;
}

const generationOf = (row: ProviderRow) => ({ resource_provider_generation: row.generation });
const one = '/resource_providers/:provider';

export const providerRoutes: readonly PlacementRoute[] = [
  reading(
    '/resource_providers',
    0,
    ProviderListAnswer,
    async (request) => ({
      resource_providers: (await providerRows(request.context.db))
        .filter(providerFilter(request.query, request.context.config))
        .map((row) => view(row, request)),
    }),
    ProvidersQuery,
  ),
  reading(one, 0, ProviderAnswer, async (request) => view(await find(request), request)),
  reading(`${one}/inventories`, 0, InventoriesAnswer, async (request) => {
    const row = await find(request);
    return { ...generationOf(row), inventories: inventoriesOf(row, request.context.config) };
  }),
  reading(`${one}/inventories/:class`, 0, InventoryAnswer, async (request) => {
    const row = await find(request);
    const inventory = new Map(Object.entries(inventoriesOf(row, request.context.config))).get(request.params['class'] ?? '');
    if (inventory === undefined) throw new GodwitError('NotFound', `No inventory of class ${request.params['class']} for ${row.id}`);
    return { ...generationOf(row), ...inventory };
  }),
  reading(`${one}/usages`, 0, UsagesAnswer, async (request) => {
    const row = await find(request);
    const classes = Object.keys(inventoriesOf(row, request.context.config));
    return {
      ...generationOf(row),
      usages: Object.fromEntries(Object.entries(row.used).filter(([name, amount]) => classes.includes(name) || amount > 0)),
    };
  }),
  reading(`${one}/aggregates`, 1, AggregatesAnswer, async (request) => {
    const row = await find(request);
    return { aggregates: row.aggregates, ...(request.minor >= 19 ? generationOf(row) : {}) };
  }),
  reading(`${one}/traits`, 6, ProviderTraitsAnswer, async (request) => {
    const row = await find(request);
    return { ...generationOf(row), traits: traitsOf(row) };
  }),
  reading(`${one}/allocations`, 0, ProviderAllocationsAnswer, async (request) => {
    const row = await find(request);
    const rows = await request.context.db
      .selectFrom('allocation')
      .selectAll()
      .where('host_id', '=', row.id)
      .orderBy('created_at')
      .execute();
    return {
      ...generationOf(row),
      allocations: Object.fromEntries(
        rows.map((allocation) => [
          allocation.consumer_id,
          { resources: amountsOf(allocation), ...(request.minor >= 28 ? { consumer_generation: 1 } : {}) },
        ]),
      ),
    };
  }),
];
