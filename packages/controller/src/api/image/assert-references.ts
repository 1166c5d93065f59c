import { GodwitError } from '@godwit/domain/errors';

/** Properties that name another image of ours. */
const imageReferences = ['kernel_id', 'ramdisk_id'];
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/;

/** Throws BadRequest for a property that must name an image and does not. */
export function assertReferences(properties: Readonly<Record<string, string>>): void {
  for (const key of imageReferences) {
    const value = properties[key];
    if (value !== undefined && !uuid.test(value))
      throw new GodwitError('BadRequest', `Property ${key} must be the id of an image, not '${value.slice(0, 60)}'.`);
  }
}
