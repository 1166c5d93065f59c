import { lstat, realpath } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';

/** One file or folder name: no separator, no leading dot, nothing a shell or QEMU's option parser would trip over. */
const plainName = /^[A-Za-z0-9][A-Za-z0-9._-]{0,199}$/;

/**
 * Joins names that came from outside to a root. Throws GodwitError BadRequest when one of them is not a plain name, so the result always lies below the root
 * (symbolic links aside: see refuseEscape).
 */
export function confinedPath(root: string, ...names: readonly string[]): string {
  for (const name of names) {
    if (!plainName.test(name)) throw new GodwitError('BadRequest', `${JSON.stringify(name)} is not a plain file name`);
  }
  return join(root, ...names);
}

/**
 * Throws GodwitError ImageUnsafe when the path, or the folder it lies in, leads out of the root through a symbolic link. The file itself may be absent; if it
 * exists it must be a regular file.
 */
export async function refuseEscape(root: string, path: string): Promise<void> {
  const folder = await realpath(dirname(path)).catch(absent);
  const realRoot = await realpath(root);
  if (folder !== undefined && folder !== realRoot && !folder.startsWith(`${realRoot}/`))
    throw new GodwitError('ImageUnsafe', `${path} lies outside its store`, { folder });
  const entry = await lstat(path).catch(absent);
  if (entry !== undefined && !entry.isFile()) throw new GodwitError('ImageUnsafe', `${path} is not a regular file`);
}

function absent(error: NodeJS.ErrnoException): undefined {
  if (error.code === 'ENOENT') return undefined;
  throw error;
}
