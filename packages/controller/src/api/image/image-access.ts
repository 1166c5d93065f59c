import { GodwitError } from '@godwit/domain/errors';
import { type ExpressionBuilder, sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { Tables } from '../../store/tables.ts';
import type { Caller } from '../../workflows/operations.ts';
import type { ImageRow } from './image-view.ts';

/** Images that the caller may see: their project's, public and community ones, and those shared with the project. An admin sees all. */
export function visibleImages(caller: Pick<Caller, 'projectId' | 'isAdmin'>) {
  return (eb: ExpressionBuilder<Tables, 'image'>) =>
    caller.isAdmin
      ? eb.lit(true)
      : eb.or([
          eb('image.visibility', 'in', ['public', 'community']),
          eb('image.owner', '=', caller.projectId),
          eb.and([
            eb('image.visibility', '=', 'shared'),
            eb.exists(
              eb
                .selectFrom('image_member')
                .select('image_id')
                .whereRef('image_id', '=', 'image.id')
                .where('project_id', '=', caller.projectId),
            ),
          ]),
        ]);
}

/** The image of a URL. Throws NotFound when there is none that the caller may see (also for a name in place of an id). */
export async function findImage(db: Db, caller: Caller, id: string): Promise<ImageRow> {
  const row = await db
    .selectFrom('image')
    .selectAll()
    .where(sql<boolean>`id::text = ${id}`)
    .where('deleted_at', 'is', null)
    .where(visibleImages(caller))
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `No image found with ID ${id.slice(0, 255)}`);
  return row;
}

/** Throws Forbidden unless the caller may change the image: a member of the owning project, or an admin. */
export function assertMayChange(caller: Caller, image: Pick<ImageRow, 'owner' | 'id'>): void {
  const writes = caller.roles.some((role) => role === 'member' || role === 'manager');
  if (!caller.isAdmin && !(writes && image.owner !== null && image.owner === caller.projectId)) {
    throw new GodwitError('Forbidden', 'You are not authorized to complete this action.');
  }
}
