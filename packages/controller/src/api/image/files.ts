import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import { imageFile } from '../../images/image-file.ts';
import { uploadImage } from '../../images/upload-image.ts';
import { assertMayChange, findImage } from './image-access.ts';
import type { ImageRequest, ImageRoute } from './image-context.ts';

/** The data of an image: never in memory, in either direction. */
export const fileRoutes: readonly ImageRoute[] = [
  {
    method: 'PUT',
    path: '/v2/images/:image/file',
    body: 'stream',
    response: null,
    handle: async ({ context, caller, params, headers, stream }: ImageRequest) => {
      const type = headers['content-type']?.split(';')[0]?.trim().toLowerCase();
      if (type !== 'application/octet-stream')
        throw new GodwitError('UnsupportedMediaType', 'Image data must be sent as application/octet-stream.');
      const image = await findImage(context.db, caller, params['image'] ?? '');
      assertMayChange(caller, image);
      const length = headers['content-length'];
      await uploadImage({
        db: context.db,
        imageDir: context.config.imageDir,
        imageId: image.id,
        source: stream,
        announcedBytes: length === undefined ? null : Number(length),
      });
      return { status: 204 };
    },
  },
  {
    method: 'GET',
    path: '/v2/images/:image/file',
    response: null,
    handle: async ({ context, caller, params }: ImageRequest) => {
      const image = await findImage(context.db, caller, params['image'] ?? '');
      if (image.status === 'deactivated' && !caller.isAdmin)
        throw new GodwitError('Forbidden', 'The requested image has been deactivated. Image data download is forbidden.');
      const path =
        image.status === 'active' || image.status === 'deactivated' ? await imageFile(context.db, context.config.imageDir, image.id) : null;
      if (path === null) return { status: 204 };
      const { size } = await stat(path);
      const headers = {
        'content-type': 'application/octet-stream',
        'content-length': String(size),
        ...(image.md5 === null ? {} : { 'content-md5': image.md5 }),
      };
      return { status: 200, file: createReadStream(path, { highWaterMark: 1024 * 1024 }), headers };
    },
  },
];
