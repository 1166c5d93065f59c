import { mkdir, open, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { asEpoch, type Epoch, type ServerId } from '@godwit/domain/ids';
import { runDir } from '../../qemu/run-dir.ts';
import { type SavedMachine, savedMachineOf, unlikeSaved } from './saved-machine.ts';

/** The file that a guest's memory is in, as this host remembers it beside the guest's other files. Which memory counts, if any, is custody's to say. */
export type SavedMemory = {
  readonly epoch: Epoch;
  readonly path: string;
  /** Its length once it was durable; null: it was never finished. */
  readonly bytes: number | null;
  readonly machine: SavedMachine;
};

const recordOf = (stateDir: string, serverId: ServerId): string => join(runDir(stateDir, serverId).dir, 'memory.json');

/** Beside the guest's first disk, where there is room for such things; without a disk with its other files. Its name has the epoch: no two memories are ever taken for each other. */
export function memoryPath(stateDir: string, spec: Pick<GuestSpec, 'serverId' | 'disks'>, epoch: Epoch): string {
  const [disk] = spec.disks;
  return join(disk === undefined ? runDir(stateDir, spec.serverId).dir : dirname(disk.path), `memory-${epoch}`);
}

/** Remembers where the memory goes, before anything is written there, and takes away what an earlier attempt left. */
export async function beginMemory(stateDir: string, spec: GuestSpec, epoch: Epoch, path: string): Promise<void> {
  const { serverId } = spec;
  await removeMemory(stateDir, serverId);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  await writeRecord(stateDir, serverId, { epoch, path, bytes: null, machine: savedMachineOf(spec) });
}

/** When it resolves the file, its name and this host's record of both survive a power loss. */
export async function syncMemory(stateDir: string, serverId: ServerId, epoch: Epoch): Promise<void> {
  const begun = await readMemory(stateDir, serverId);
  if (begun?.epoch !== epoch) throw new GodwitError('SuspendFailed', `no memory of server ${serverId} was begun under epoch ${epoch}`);
  await synced(begun.path);
  await synced(dirname(begun.path));
  await writeRecord(stateDir, serverId, { ...begun, bytes: (await stat(begun.path)).size });
}

export async function readMemory(stateDir: string, serverId: ServerId): Promise<SavedMemory | null> {
  try {
    const { epoch, path, bytes, machine } = JSON.parse(await readFile(recordOf(stateDir, serverId), 'utf8')) as SavedMemory;
    return { epoch: asEpoch(epoch), path, bytes, machine };
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** The file of this epoch's memory, as long as it was, for the machine that it is of. Throws GodwitError SavedMemoryUnusable saying what is wrong with it. */
export async function usableMemory(stateDir: string, spec: GuestSpec, epoch: Epoch): Promise<string> {
  const { serverId } = spec;
  const unusable = (why: string, cause?: unknown): GodwitError =>
    new GodwitError('SavedMemoryUnusable', `the saved memory of server ${serverId} cannot be loaded: ${why}`, {}, { cause });
  const saved = await readMemory(stateDir, serverId).catch((error: unknown) => {
    throw unusable(`its record is not readable (${(error as Error).message})`, error);
  });
  if (saved?.epoch !== epoch || saved.bytes === null) throw unusable('this host has no record of its file');
  const { size } = await stat(saved.path).catch((error: unknown) => {
    throw unusable(`its file is not there (${(error as NodeJS.ErrnoException).code ?? String(error)})`, error);
  });
  if (size !== saved.bytes) throw unusable(`its file has ${size} bytes, and was ${saved.bytes} long`);
  const unlike = unlikeSaved(saved.machine, savedMachineOf(spec));
  if (unlike !== null) throw unusable(unlike);
  return saved.path;
}

/** Takes the file away, and the record of it. Nothing of custody rests on this: it gives room back. */
export async function removeMemory(stateDir: string, serverId: ServerId): Promise<void> {
  const saved = await readMemory(stateDir, serverId).catch(() => null);
  if (saved !== null) await rm(saved.path, { force: true });
  await rm(recordOf(stateDir, serverId), { force: true });
}

async function writeRecord(stateDir: string, serverId: ServerId, memory: SavedMemory): Promise<void> {
  const path = recordOf(stateDir, serverId);
  const file = await open(`${path}.new`, 'w', 0o600);
  try {
    await file.writeFile(JSON.stringify(memory));
    await file.sync();
  } finally {
    await file.close();
  }
  await rename(`${path}.new`, path);
  await synced(dirname(path));
}

/** Of a file or a folder. */
async function synced(path: string): Promise<void> {
  const file = await open(path, 'r');
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
