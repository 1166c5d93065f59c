import { GodwitError } from '@godwit/domain/errors';
import { one, type Query } from '../query.ts';
import type { PlacementContext } from './placement-context.ts';
import { capacityOf, inventoriesOf, type ProviderRow, type ResourceClass, resourceClasses, traitsOf } from './provider-rows.ts';

export type Wanted = ReadonlyMap<ResourceClass, number>;

/** `VCPU:1,MEMORY_MB:512`. Throws BadRequest for what is not that, or a class that does not exist. */
export function wantedResources(query: Query): Wanted | null {
  const text = one(query, 'resources');
  if (text === null) return null;
  const wanted = new Map<ResourceClass, number>();
  for (const part of text.split(',')) {
    const match = /^([A-Z0-9_]+):([1-9]\d{0,9})$/.exec(part);
    if (match === null)
      throw new GodwitError(
        'BadRequest',
        `Badly formed resources parameter. Expected resources query string parameter in form: ?resources=VCPU:2,MEMORY_MB:1024. Got: ${text.slice(0, 120)}.`,
      );
    const name = match[1] as ResourceClass;
    if (!resourceClasses.includes(name))
      throw new GodwitError('BadRequest', `Invalid resource class in resources parameter: No such resource class ${name}.`);
    wanted.set(name, Number(match[2]));
  }
  return wanted;
}

/** Whether the provider passes `uuid`, `name`, `in_tree`, `member_of`, `required` and `resources` of the query. */
export function providerFilter(query: Query, config: PlacementContext['config']): (row: ProviderRow) => boolean {
  const wanted = wantedResources(query);
  const [uuid, name, tree] = [one(query, 'uuid'), one(query, 'name'), one(query, 'in_tree')];
  const memberOf = (query.get('member_of') ?? []).map((value) => {
    const negated = value.startsWith('!');
    const list = (negated ? value.slice(1) : value).replace(/^in:/, '').split(',');
    return (row: ProviderRow) => list.some((aggregate) => row.aggregates.includes(aggregate)) !== negated;
  });
  const required = (query.get('required') ?? []).flatMap((value) =>
    value.startsWith('in:')
      ? [
          (traits: readonly string[]) =>
            value
              .slice(3)
              .split(',')
              .some((trait) => traits.includes(trait)),
        ]
      : value
          .split(',')
          .map(
            (trait) => (traits: readonly string[]) => (trait.startsWith('!') ? !traits.includes(trait.slice(1)) : traits.includes(trait)),
          ),
  );
  return (row) => {
    if (uuid !== null && row.id !== uuid) return false;
    if (name !== null && row.name !== name) return false;
    if (tree !== null && row.id !== tree) return false;
    if (!memberOf.every((matches) => matches(row))) return false;
    if (required.length > 0) {
      const traits = traitsOf(row);
      if (!required.every((matches) => matches(traits))) return false;
    }
    return wanted === null || fits(row, wanted, config);
  };
}

/** Room for the amounts beside what the ledger holds, by the same ratios as the scheduler's. */
export function fits(row: ProviderRow, wanted: Wanted, config: PlacementContext['config']): boolean {
  const inventories = inventoriesOf(row, config);
  return [...wanted].every(([name, amount]) => {
    const inventory = inventories[name];
    return inventory !== undefined && amount <= inventory.max_unit && row.used[name] + amount <= capacityOf(inventory);
  });
}
