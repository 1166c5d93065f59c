import { GodwitError } from '@godwit/domain/errors';
import type { Selectable } from 'kysely';
import type { FlavorTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { type ComputeRequest, param } from './route.ts';

export type FlavorRow = Selectable<FlavorTable>;

/** The flavors this caller may use: the public ones and those given to their project; an admin all. */
export function visibleFlavors(db: Db, caller: Caller) {
  const query = db.selectFrom('flavor').selectAll('flavor').where('deleted_at', 'is', null);
  if (caller.isAdmin) return query;
  return query.where((eb) =>
    eb.or([
      eb('is_public', '=', true),
      eb.exists(
        eb
          .selectFrom('flavor_access')
          .select('flavor_access.flavor_id')
          .whereRef('flavor_access.flavor_id', '=', 'flavor.id')
          .where('flavor_access.project_id', '=', caller.projectId),
      ),
    ]),
  );
}

/** The flavor of the path. Throws `NotFound` when it does not exist or is not this caller's to use. */
export async function flavorOf(request: ComputeRequest<never>): Promise<FlavorRow> {
  const id = param(request, 'flavor');
  const row = await visibleFlavors(request.context.db, request.caller).where('id', '=', id).executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Flavor ${id} could not be found.`);
  return row;
}
