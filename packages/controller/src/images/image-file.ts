import { access } from 'node:fs/promises';
import type { Db } from '../store/database.ts';
import { imagePath } from './image-paths.ts';

/**
 * The path of an image's data for a host, or null when there is none. A deleted image keeps its data while a disk was made from it: a move may still
 * have to fetch that disk's backing file.
 */
export async function imageFile(db: Db, imageDir: string, imageId: string): Promise<string | null> {
  const image = await db
    .selectFrom('image')
    .select('id')
    .where('id', '=', imageId)
    .where('status', 'in', ['active', 'deactivated', 'deleted'])
    .executeTakeFirst();
  if (image === undefined) return null;
  const path = imagePath(imageDir, imageId);
  return access(path).then(
    () => path,
    () => null,
  );
}
