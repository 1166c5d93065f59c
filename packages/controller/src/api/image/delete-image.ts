import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';
import { assertMayChange, findImage } from './image-access.ts';
import type { ImageRow } from './image-view.ts';

/** A shelved server has no other disk. */
const isKeptIn = sql<boolean>`server.shelved ->> 'imageId' = image.id::text and server.deleted_at is null`;

/** Marks an image deleted; its data goes when no disk stands on it any more. Throws Forbidden for one that is protected or not the caller's, Conflict for one that a shelved server's disk is kept in. */
export async function deleteImage(db: Db, caller: Caller, image: ImageRow): Promise<void> {
  assertMayChange(caller, image);
  const deleted = await db
    .updateTable('image')
    .set({ status: 'deleted', deleted_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', image.id)
    .where('deleted_at', 'is', null)
    .where('protected', '=', false)
    .where(({ not, exists, selectFrom }) => not(exists(selectFrom('server').select('server.id').where(isKeptIn))))
    .returning('id')
    .executeTakeFirst();
  if (deleted !== undefined) return;
  await findImage(db, caller, image.id);
  const kept = await db
    .selectFrom('server')
    .select('id')
    .where('deleted_at', 'is', null)
    .where(sql<string | null>`shelved ->> 'imageId'`, '=', image.id)
    .executeTakeFirst();
  if (kept !== undefined)
    throw new GodwitError(
      'Conflict',
      `Image ${image.id} could not be deleted because it is in use: the disk of instance ${kept.id} is kept in it.`,
    );
  throw new GodwitError('Forbidden', `Image ${image.id} is protected and cannot be deleted.`);
}
