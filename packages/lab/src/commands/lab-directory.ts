import { mkdir, readlink, realpath, rm, symlink } from 'node:fs/promises';
import path from 'node:path';
import { labIdOf } from '../network/topology.ts';

export const defaultLabDir = '.godwit/lab';
/** Sockets have paths of at most 107 bytes, and a checkout may lie deep: the processes reach their directories by this short way. */
const aliasRoot = '/run/godwit';

export interface LabDirectory {
  readonly dir: string;
  readonly labId: string;
  readonly alias: string;
}

/** The lab's directory, free of links, whether it exists or not: its id must not depend on the way there. */
export async function labDirectory(given: string): Promise<LabDirectory> {
  const absolute = path.resolve(given);
  const dir = await realPathOf(absolute);
  const labId = labIdOf(dir);
  return { dir, labId, alias: path.join(aliasRoot, labId) };
}

async function realPathOf(absolute: string): Promise<string> {
  try {
    return await realpath(absolute);
  } catch {
    const parent = path.dirname(absolute);
    return parent === absolute ? absolute : path.join(await realPathOf(parent), path.basename(absolute));
  }
}

export async function makeAlias(directory: LabDirectory): Promise<void> {
  await mkdir(aliasRoot, { recursive: true });
  if ((await readlink(directory.alias).catch(() => undefined)) === directory.dir) return;
  await rm(directory.alias, { force: true });
  await symlink(directory.dir, directory.alias);
}

export async function removeAlias(directory: LabDirectory): Promise<void> {
  await rm(directory.alias, { force: true });
}
