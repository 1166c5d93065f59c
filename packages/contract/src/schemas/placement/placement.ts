import { Type } from 'typebox';
import { Closed, OneOf, perMinor, Uuid } from '../closed.ts';

/** The placement service, microversions 1.0 … 1.39, as far as it is read. Source: the OpenStack placement API reference. */
const amounts = Type.Record(Type.String({ pattern: '^[A-Z0-9_]+$' }), Type.Integer({ minimum: 0 }));
const generation = { resource_provider_generation: Type.Integer({ minimum: 0 }) };
const links = Type.Array(
  Closed({ rel: OneOf('self', 'inventories', 'usages', 'aggregates', 'traits', 'allocations'), href: Type.String() }),
);
const Provider = (minor: number) =>
  Closed({
    uuid: Uuid,
    name: Type.String(),
    generation: Type.Integer({ minimum: 0 }),
    links,
    ...(minor >= 14 ? { parent_provider_uuid: Type.Null(), root_provider_uuid: Uuid } : {}),
  });
export const ProviderListAnswer = perMinor((minor) => Closed({ resource_providers: Type.Array(Provider(minor)) }));
export const ProviderAnswer = perMinor(Provider);

const inventory = {
  total: Type.Integer({ minimum: 1 }),
  reserved: Type.Integer({ minimum: 0 }),
  min_unit: Type.Literal(1),
  max_unit: Type.Integer({ minimum: 1 }),
  step_size: Type.Literal(1),
  allocation_ratio: Type.Number({ exclusiveMinimum: 0 }),
};
export const InventoriesAnswer = Closed({ ...generation, inventories: Type.Record(Type.String(), Closed(inventory)) });
export const InventoryAnswer = Closed({ ...generation, ...inventory });
export const UsagesAnswer = Closed({ ...generation, usages: amounts });
/** From 1.38 grouped by consumer type. */
export const TotalUsagesAnswer = perMinor((minor) =>
  Closed({
    usages: minor >= 38 ? Type.Record(Type.String(), Type.Record(Type.String(), Type.Integer({ minimum: 0 }))) : amounts,
  }),
);
export const AggregatesAnswer = perMinor((minor) => Closed({ aggregates: Type.Array(Uuid), ...(minor >= 19 ? generation : {}) }));
export const ProviderTraitsAnswer = Closed({ ...generation, traits: Type.Array(Type.String()) });
export const ProviderAllocationsAnswer = perMinor((minor) =>
  Closed({
    ...generation,
    allocations: Type.Record(Uuid, Closed({ resources: amounts, ...(minor >= 28 ? { consumer_generation: Type.Integer() } : {}) })),
  }),
);
export const ConsumerAllocationsAnswer = perMinor((minor) =>
  Closed({
    allocations: Type.Record(Uuid, Closed({ generation: Type.Integer({ minimum: 0 }), resources: amounts })),
    // Absent together when the consumer holds nothing.
    ...(minor >= 12 ? { project_id: Type.Optional(Type.String()), user_id: Type.Optional(Type.String()) } : {}),
    ...(minor >= 28 ? { consumer_generation: Type.Optional(Type.Integer()) } : {}),
    ...(minor >= 38 ? { consumer_type: Type.Optional(OneOf('INSTANCE', 'MIGRATION')) } : {}),
  }),
);
const Summary = (minor: number) =>
  Closed({
    resources: Type.Record(Type.String(), Closed({ capacity: Type.Integer(), used: Type.Integer({ minimum: 0 }) })),
    ...(minor >= 17 ? { traits: Type.Array(Type.String()) } : {}),
    ...(minor >= 29 ? { parent_provider_uuid: Type.Null(), root_provider_uuid: Uuid } : {}),
  });
export const CandidatesAnswer = perMinor((minor) =>
  Closed({
    allocation_requests: Type.Array(
      Closed({
        allocations:
          minor >= 12
            ? Type.Record(Uuid, Closed({ resources: amounts }))
            : Type.Array(Closed({ resource_provider: Closed({ uuid: Uuid }), resources: amounts })),
        ...(minor >= 34 ? { mappings: Type.Record(Type.String(), Type.Array(Uuid)) } : {}),
      }),
    ),
    provider_summaries: Type.Record(Uuid, Summary(minor)),
  }),
);
export const TraitsAnswer = Closed({ traits: Type.Array(Type.String()) });
export const ResourceClassesAnswer = Closed({
  resource_classes: Type.Array(
    Closed({ name: Type.String(), links: Type.Array(Closed({ rel: Type.Literal('self'), href: Type.String() })) }),
  ),
});
