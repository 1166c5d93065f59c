import { type Filter, type Rejection, text } from '../filter.ts';
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
    const judge = (aggregates: readonly HostAggregate[]): Rejection | null => {
      for (const [key, requirement] of needs) {
        const values = aggregates.flatMap((aggregate) => aggregate.metadata[key] ?? []);
        if (values.some((value) => value.split(',').some((one) => extraSpecMatches(one.trim(), requirement)))) continue;
        return {
          filter: 'aggregate-metadata',
          code: 'AggregateMetadata',
          data: { key, requirement, has: values, flavor: demand.flavor.name },
        };
      }
      return null;
    };
    // A handful of aggregate combinations serve thousands of hosts, and the snapshot shares their arrays.
    const known = new Map<readonly HostAggregate[], Rejection | null>();
    return ({ aggregates }) => {
      let verdict = known.get(aggregates);
      if (verdict === undefined) known.set(aggregates, (verdict = judge(aggregates)));
      return verdict;
    };
  },
  describe: (rejection) => {
    const [key, requirement, has] = [text(rejection, 'key'), text(rejection, 'requirement'), text(rejection, 'has')];
    const found = has === '' ? "none of the host's aggregates has it" : `the host's aggregates have ${key}=${has}`;
    return {
      sentence: `flavor ${text(rejection, 'flavor')} needs ${key}=${requirement}, ${found}`,
      smallestChange: `add the host to an aggregate with ${key}=${requirement}`,
    };
  },
};
