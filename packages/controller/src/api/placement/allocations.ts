import {
  ConsumerAllocationsAnswer,
  ResourceClassesAnswer,
  TotalUsagesAnswer,
  TraitsAnswer,
} from '@godwit/contract/schemas/placement/placement';
import { TotalUsagesQuery } from '@godwit/contract/schemas/placement/queries';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import { one } from '../query.ts';
import { type PlacementRoute, reading } from './placement-context.ts';
import { amountsOf, providerRows, resourceClasses, traitsOf } from './provider-rows.ts';

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;
const consumerTypes = { server: 'INSTANCE', migration: 'MIGRATION' } as const;

/** The ledger by consumer: during a move the migration's uuid holds the source and the server's the destination. */
export const allocationRoutes: readonly PlacementRoute[] = [
  reading('/allocations/:consumer', 0, ConsumerAllocationsAnswer, async ({ context, params, minor }) => {
    const consumer = params['consumer'] ?? '';
    if (!uuid.test(consumer)) throw new GodwitError('NotFound', `No allocations for consumer ${consumer.slice(0, 255)}`);
    const rows = await context.db
      .selectFrom('allocation')
      .innerJoin('host', 'host.id', 'allocation.host_id')
      .innerJoin('server', 'server.id', 'allocation.server_id')
      .select([
        'allocation.host_id',
        'allocation.vcpus',
        'allocation.ram_mib',
        'allocation.disk_gib',
        'allocation.consumer_type',
        'server.project_id',
        'server.user_id',
      ])
      .select(sql<number>`(extract(epoch from host.updated_at) * 1000)::bigint`.as('generation'))
      .where('allocation.consumer_id', '=', consumer)
      .execute();
    const [first] = rows;
    return {
      allocations: Object.fromEntries(rows.map((row) => [row.host_id, { generation: row.generation, resources: amountsOf(row) }])),
      ...(first === undefined
        ? {}
        : {
            ...(minor >= 12 ? { project_id: first.project_id, user_id: first.user_id } : {}),
            ...(minor >= 28 ? { consumer_generation: 1 } : {}),
            ...(minor >= 38 ? { consumer_type: consumerTypes[first.consumer_type] } : {}),
          }),
    };
  }),
  reading(
    '/usages',
    9,
    TotalUsagesAnswer,
    async ({ context, query, minor }) => {
      const project = one(query, 'project_id');
      const user = one(query, 'user_id');
      const type = one(query, 'consumer_type');
      const rows = await context.db
        .selectFrom('allocation')
        .innerJoin('server', 'server.id', 'allocation.server_id')
        .select([
          'consumer_type',
          sql<number>`sum(vcpus)::integer`.as('vcpus'),
          sql<number>`sum(ram_mib)::integer`.as('ram_mib'),
          sql<number>`sum(disk_gib)::integer`.as('disk_gib'),
          sql<number>`count(distinct consumer_id)::integer`.as('consumers'),
        ])
        .where('server.project_id', '=', project ?? '')
        .$if(user !== null, (list) => list.where('server.user_id', '=', user ?? ''))
        .groupBy('consumer_type')
        .execute();
      if (minor < 38) {
        const sum = (key: 'vcpus' | 'ram_mib' | 'disk_gib') => rows.reduce((total, row) => total + row[key], 0);
        return { usages: amountsOf({ vcpus: sum('vcpus'), ram_mib: sum('ram_mib'), disk_gib: sum('disk_gib') }) };
      }
      const grouped = rows.map((row) => [consumerTypes[row.consumer_type], { consumer_count: row.consumers, ...amountsOf(row) }] as const);
      return { usages: Object.fromEntries(grouped.filter(([name]) => type === null || type === 'all' || type === name)) };
    },
    TotalUsagesQuery,
  ),
  reading('/traits', 6, TraitsAnswer, async ({ context }) => ({
    traits: [...new Set((await providerRows(context.db)).flatMap(traitsOf))].toSorted(),
  })),
  reading('/resource_classes', 2, ResourceClassesAnswer, async ({ base }) => ({
    resource_classes: resourceClasses.map((name) => ({
      name,
      links: [{ rel: 'self', href: `${new URL(base).pathname}/resource_classes/${name}` }],
    })),
  })),
];
