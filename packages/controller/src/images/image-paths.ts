import { join } from 'node:path';

/** Largest image taken, like Glance's default `image_size_cap` (1 TiB). */
export const maxImageBytes = 2 ** 40;

const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Where a finished image lies. Throws RangeError for what is not a UUID: an id becomes part of a path. */
export function imagePath(imageDir: string, imageId: string): string {
  if (!uuid.test(imageId)) throw new RangeError(`not an image id: ${imageId}`);
  return join(imageDir, imageId);
}

/** Where uploads grow until they are whole; the same file system as the images, so that a rename finishes them. */
export const incomingDir = (imageDir: string): string => join(imageDir, 'incoming');
