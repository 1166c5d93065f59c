import type { Grant } from '@godwit/domain/custody/grant';
import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId } from '@godwit/domain/ids';

/** A grant for a move, as opposed to one for a start. */
export type MoveGrant = Grant & { readonly migrationId: MigrationId };

/** Throws BadRequest when the grant is for a start. */
export function movable(grant: Grant): MoveGrant {
  if (grant.migrationId === null || grant.source === null) throw new GodwitError('BadRequest', 'the grant is for a start, not for a move');
  return { ...grant, migrationId: grant.migrationId };
}
