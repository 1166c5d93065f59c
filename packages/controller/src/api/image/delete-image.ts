import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { assertMayChange, findImage } from './image-access.ts';
import type { ImageRow } from './image-view.ts';

/** Marks an image deleted; its data goes when no disk stands on it any more. Throws Forbidden for one that is protected or not the caller's. */
export async function deleteImage(db: Db, caller: Caller, image: ImageRow): Promise<void> {
  assertMayChange(caller, image);
  const deleted = await db
    .updateTable('image')
    .set({ status: 'deleted', deleted_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', image.id)
    .where('deleted_at', 'is', null)
    .where('protected', '=', false)
    .returning('id')
    .executeTakeFirst();
  if (deleted !== undefined) return;
  await findImage(db, caller, image.id);
  throw new GodwitError('Forbidden', `Image ${image.id} is protected and cannot be deleted.`);
}
