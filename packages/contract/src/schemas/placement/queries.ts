import { Type } from 'typebox';
import { QueryText, querySchema } from '../query.ts';

/*
 * What the lists of the placement API may be asked, closed at every microversion. Source: the OpenStack placement API reference. Numbered groups of resources (1.25) and what speaks of trees of
 * providers (`root_required`, `same_subtree`) are not among it: every host is one provider.
 */
const text = (since: number) => ({ value: QueryText, since });

export const ProvidersQuery = querySchema(
  { name: text(0), uuid: text(0), member_of: text(3), resources: text(4), in_tree: text(14), required: text(18) },
  0,
);
export const CandidatesQuery = querySchema(
  {
    resources: { ...text(10), required: true },
    limit: { value: Type.String({ pattern: '^[1-9][0-9]{0,17}$' }), since: 16 },
    required: text(17),
    member_of: text(21),
    group_policy: text(25),
    in_tree: text(31),
  },
  0,
);
export const TotalUsagesQuery = querySchema({ project_id: { ...text(9), required: true }, user_id: text(9), consumer_type: text(38) }, 0);
