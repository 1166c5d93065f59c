import { rm } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { imagePath, maxImageBytes } from './image-paths.ts';
import { type DiskFormat, diskFormats, inspectImage } from './inspect-image.ts';
import { keepFile, receiveFile } from './receive-file.ts';

/** Whose upload it is, to the microsecond. */
const startedAt = sql<string>`upload_started_at::text`;

export type Upload = {
  readonly db: Db;
  readonly imageDir: string;
  readonly imageId: string;
  readonly source: AsyncIterable<Buffer>;
  readonly announcedBytes: number | null;
  readonly maxBytes?: number;
};

/**
 * Takes the data of a queued image: streamed to the disk, hashed, inspected, renamed into place, then `active`. When it throws, the image is `queued` again (so that
 * the upload can be repeated) and no byte is left: Conflict (not queued, or formats unset), ImageTooLarge, ImageTruncated, NoSpace, ImageUnsafe, NotFound (deleted meanwhile).
 */
export async function uploadImage({ db, imageDir, imageId, source, announcedBytes, maxBytes = maxImageBytes }: Upload): Promise<void> {
  const image = await db
    .selectFrom('image')
    .select(['status', 'disk_format', 'container_format'])
    .where('id', '=', imageId)
    .where('deleted_at', 'is', null)
    .executeTakeFirst();
  if (image === undefined) throw new GodwitError('NotFound', `Failed to find image ${imageId}`);
  if (image.disk_format === null || image.container_format === null)
    throw new GodwitError('Conflict', 'Disk and container formats must be set before data is uploaded.');
  const format = image.disk_format as DiskFormat;
  if (!diskFormats.includes(format)) throw new GodwitError('Conflict', `Disk format ${image.disk_format} is not supported.`);
  const claimed = await db
    .updateTable('image')
    .set({ status: 'saving', upload_started_at: sql`now()`, updated_at: sql`now()` })
    .where('id', '=', imageId)
    .where('status', '=', 'queued')
    .where('deleted_at', 'is', null)
    .returning(startedAt.as('claim'))
    .executeTakeFirst();
  if (claimed === undefined) throw new GodwitError('Conflict', `Image status transition from ${image.status} to saving is not allowed`);
  let partPath: string | null = null;
  let kept = false;
  try {
    const received = await receiveFile(source, { imageDir, imageId, maxBytes, announcedBytes });
    const { partPath: whole } = received;
    partPath = whole;
    const virtualSizeBytes = await inspectImage(partPath, format);
    // Under the row's lock: a writer that has been superseded (a snapshot begun again elsewhere) replaces nothing.
    await db.transaction().execute(async (tx) => {
      const mine = await tx
        .selectFrom('image')
        .select('id')
        .where('id', '=', imageId)
        .where('status', '=', 'saving')
        .where('deleted_at', 'is', null)
        .where(startedAt, '=', claimed.claim)
        .forUpdate()
        .executeTakeFirst();
      if (mine === undefined) throw new GodwitError('NotFound', `Image ${imageId} was deleted during its upload.`);
      // The file is in place before the row says so: an active image always has its data.
      await keepFile(imageDir, imageId, whole);
      kept = true;
      await tx
        .updateTable('image')
        .set({
          status: 'active',
          size_bytes: received.sizeBytes,
          virtual_size_bytes: virtualSizeBytes,
          md5: received.md5,
          sha512: received.sha512,
          upload_started_at: null,
          updated_at: sql`now()`,
        })
        .where('id', '=', imageId)
        .execute();
    });
  } catch (error) {
    if (partPath !== null) await rm(partPath, { force: true });
    if (kept) await rm(imagePath(imageDir, imageId), { force: true });
    await db
      .updateTable('image')
      .set({ status: 'queued', upload_started_at: null })
      .where('id', '=', imageId)
      .where('status', '=', 'saving')
      .where(startedAt, '=', claimed.claim)
      .execute();
    throw error;
  }
}
