import { type Filter, text } from '../filter.ts';
import type { HostAggregate } from '../host-state.ts';
import { extraSpecMatches } from './extra-spec-match.ts';

const scope = 'aggregate_instance_extra_specs:';

/**
 * Every extra spec of the flavor that is in the aggregate scope, or in none, is met by the metadata of the host's
 * aggregates taken together (Nova's AggregateInstanceExtraSpecsFilter). Specs in other scopes are not for this filter.
 */
export const aggregateMetadata: Filter = {
  name: 'aggregate-metadata',
  prepare: (demand) => {
    const needs: [key: string, requirement: string][] = [];
    for (const [key, requirement] of Object.entries(demand.flavor.extraSpecs)) {
      if (key.startsWith(scope)) needs.push([key.slice(scope.length), requirement]);
      else if (!key.includes(':')) needs.push([key, requirement]);
    }
    if (needs.length === 0) return null;
    const satisfies = (aggregates: readonly HostAggregate[], key: string, requirement: string) =>
      aggregates.some((aggregate) => {
        const value = aggregate.metadata[key];
        return value !== undefined && value.split(',').some((one) => extraSpecMatches(one.trim(), requirement));
      });
    return (host) => {
      for (const [key, requirement] of needs) {
        if (satisfies(host.aggregates, key, requirement)) continue;
        const has = host.aggregates.flatMap((aggregate) => aggregate.metadata[key] ?? []);
        return { filter: 'aggregate-metadata', code: 'AggregateMetadata', data: { key, requirement, has, flavor: demand.flavor.name } };
      }
      return null;
    };
  },
  describe: (rejection) => {
    const [key, requirement, has] = [text(rejection, 'key'), text(rejection, 'requirement'), text(rejection, 'has')];
    const found = has === '' ? 'none of the host\'s aggregates has it' : `the host's aggregates have ${key}=${has}`;
    return { sentence: `flavor ${text(rejection, 'flavor')} needs ${key}=${requirement}, ${found}`, smallestChange: `add the host to an aggregate with ${key}=${requirement}` };
  },
};
