import { open } from 'node:fs/promises';

/** What a file holds, or which names a folder holds, survives a power loss once this returns. Throws what the file system says: then it may not. */
export async function makeDurable(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
