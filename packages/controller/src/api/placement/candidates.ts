import { CandidatesAnswer } from '@godwit/contract/schemas/placement/placement';
import { CandidatesQuery } from '@godwit/contract/schemas/placement/queries';
import { GodwitError } from '@godwit/domain/errors';
import { count } from '../query.ts';
import { type PlacementRoute, reading } from './placement-context.ts';
import { providerFilter, wantedResources } from './provider-filters.ts';
import { capacityOf, inventoriesOf, providerRows, traitsOf } from './provider-rows.ts';

/** Hosts with room for the amounts asked for. What the scheduler would say needs a server: see its destinations. */
export const candidateRoutes: readonly PlacementRoute[] = [
  reading(
    '/allocation_candidates',
    10,
    CandidatesAnswer,
    async ({ context, query, minor }) => {
      const wanted = wantedResources(query);
      if (wanted === null) throw new GodwitError('BadRequest', 'At least one group of `resources` is required.');
      const limit = count(query, 'limit');
      const rows = (await providerRows(context.db)).filter(providerFilter(query, context.config)).slice(0, limit ?? Infinity);
      const resources = Object.fromEntries(wanted);
      return {
        allocation_requests: rows.map((row) => ({
          allocations: minor >= 12 ? { [row.id]: { resources } } : [{ resource_provider: { uuid: row.id }, resources }],
          ...(minor >= 34 ? { mappings: { '': [row.id] } } : {}),
        })),
        provider_summaries: Object.fromEntries(
          rows.map((row) => [
            row.id,
            {
              // Below 1.27 only the classes asked for.
              resources: Object.fromEntries(
                Object.entries(inventoriesOf(row, context.config))
                  .filter(([name]) => minor >= 27 || Object.hasOwn(resources, name))
                  .map(([name, inventory]) => [name, { capacity: capacityOf(inventory), used: row.used[name as keyof typeof row.used] }]),
              ),
              ...(minor >= 17 ? { traits: traitsOf(row) } : {}),
              ...(minor >= 29 ? { parent_provider_uuid: null, root_provider_uuid: row.id } : {}),
            },
          ]),
        ),
      };
    },
    CandidatesQuery,
  ),
];
