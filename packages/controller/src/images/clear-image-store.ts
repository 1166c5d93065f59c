import { readdir, rm, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { imagePath, incomingDir } from './image-paths.ts';

/** An upload that has written nothing for so long belongs to a controller that died. */
const abandonedAfterMs = 60 * 60 * 1000;

/** What became superfluous: data of deleted images that no disk was made from. */
export async function removeUnusedImageFiles(db: Db, imageDir: string): Promise<void> {
  const unused = await db
    .selectFrom('image')
    .select('id')
    .where('deleted_at', 'is not', null)
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('disk')
            .innerJoin('server', 'server.id', 'disk.server_id')
            .select('disk.id')
            .whereRef('disk.image_id', '=', 'image.id')
            .where('server.deleted_at', 'is', null),
        ),
      ),
    )
    .where(({ not, exists, selectFrom }) =>
      not(
        exists(
          selectFrom('server')
            .select('server.id')
            .where('server.deleted_at', 'is', null)
            .where(
              sql<boolean>`(server.image_id = image.id or server.direct_boot ->> 'kernelImageId' = image.id::text or server.direct_boot ->> 'ramdiskImageId' = image.id::text)`,
            ),
        ),
      ),
    )
    .execute();
  for (const { id } of unused) await rm(imagePath(imageDir, id), { force: true });
}

/**
 * What a controller that died in the middle of uploads left: their part files, and images that still say `saving` (they are `queued` again). Uploads of living
 * controllers are younger or keep growing, and are left alone. Run at start and from time to time.
 */
export async function clearAbandonedUploads(db: Db, imageDir: string, nowMs: number = Date.now()): Promise<void> {
  const names = await readdir(incomingDir(imageDir)).catch(() => []);
  const alive = new Set<string>();
  for (const name of names) {
    const path = join(incomingDir(imageDir), name);
    const age = await stat(path).then(
      (found) => nowMs - found.mtimeMs,
      () => 0,
    );
    if (age > abandonedAfterMs) await rm(path, { force: true });
    else alive.add(name.split('.')[0] ?? '');
  }
  const saving = await db.selectFrom('image').select(['id', 'upload_started_at']).where('status', '=', 'saving').execute();
  for (const { id, upload_started_at: started } of saving) {
    if (alive.has(id) || (started !== null && nowMs - started.getTime() < abandonedAfterMs)) continue;
    await db
      .updateTable('image')
      .set({ status: 'queued', upload_started_at: null })
      .where('id', '=', id)
      .where('status', '=', 'saving')
      .execute();
  }
}
