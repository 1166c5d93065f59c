import { type FileHandle, mkdir, open, readdir, readFile, rename, rm, stat } from 'node:fs/promises';
import { dirname, join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { asEpoch, type Epoch, type ServerId } from '@godwit/domain/ids';
import { runDir } from '../../qemu/run-dir.ts';
import { confinedPath } from '../../storage/confined-path.ts';
import { makeDurable } from '../../storage/make-durable.ts';
import type { Room } from '../../storage/space-ledger.ts';
import type { QemuHost } from './qemu-host.ts';
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

/**
 * By record: what this agent has begun, open from before QEMU opened it. What a storage has failed to write (NFS: at QEMU's close) the kernel tells once to each description that was open then, and to none that is
 * opened later: only the fsync of this one says that the file is whole.
 */
const begunFiles = new Map<string, FileHandle>();

type MemoryHost = Pick<QemuHost, 'pools' | 'log'> & { readonly config: Pick<QemuHost['config'], 'stateDir'> };

/** Beside the guest's first disk, where there is room for such things; without one, or when that is no file, with its other files. Its name has the epoch: no two memories are ever taken for each other. */
export function memoryPath(stateDir: string, spec: Pick<GuestSpec, 'serverId' | 'disks'>, epoch: Epoch): string {
  const [disk] = spec.disks;
  return join(disk?.path === undefined ? runDir(stateDir, spec.serverId).dir : dirname(disk.path), `memory-${epoch}`);
}

/** Where the room for a guest's memory is claimed: in the pool that it goes to, else where this host keeps its journals, which must not run full of it. */
export function memoryRoom(
  { config: { stateDir }, pools }: Pick<MemoryHost, 'config' | 'pools'>,
  { disks: [disk] }: Pick<GuestSpec, 'disks'>,
): Room {
  const pool = [...pools.values()].find(({ path }) => disk?.path?.startsWith(`${path}/`));
  return pool ?? { name: `of the state directory ${stateDir}`, path: stateDir, poolId: `state ${stateDir}` };
}

/** Remembers where the memory goes, before anything is written there, and takes away what an earlier attempt left. */
export async function beginMemory(host: MemoryHost, spec: GuestSpec, epoch: Epoch, path: string): Promise<void> {
  const { serverId } = spec;
  const { stateDir } = host.config;
  await removeMemory(host, serverId, epoch);
  await mkdir(dirname(path), { recursive: true, mode: 0o700 });
  await rm(path, { force: true });
  begunFiles.set(recordOf(stateDir, serverId), await open(path, 'wx', 0o600));
  await writeRecord(stateDir, serverId, { epoch, path, bytes: null, machine: savedMachineOf(spec) });
}

/** When it resolves the file, its name and this host's record of both survive a power loss. */
export async function syncMemory(stateDir: string, serverId: ServerId, epoch: Epoch): Promise<void> {
  const begun = await readMemory(stateDir, serverId);
  if (begun?.epoch !== epoch) throw new GodwitError('SuspendFailed', `no memory of server ${serverId} was begun under epoch ${epoch}`);
  const file = begunFiles.get(recordOf(stateDir, serverId));
  // Nobody knows any more whether all of it was written: the guest runs on.
  if (file === undefined) throw new GodwitError('SuspendFailed', `the memory of server ${serverId} was begun by an agent that is gone`);
  await file.sync();
  const { size, ino } = await file.stat();
  if ((await stat(begun.path)).ino !== ino) throw new GodwitError('SuspendFailed', `${begun.path} is another file than was begun`);
  await makeDurable(dirname(begun.path));
  await writeRecord(stateDir, serverId, { ...begun, bytes: size });
  await closeBegun(stateDir, serverId);
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

/**
 * Takes the file away, and the record of it; when that is not readable, every file of a memory up to epoch `through`, none of which may be loaded any more. Nothing of custody rests on this: it gives room back.
 */
export async function removeMemory(host: MemoryHost, serverId: ServerId, through: Epoch): Promise<void> {
  const { stateDir } = host.config;
  await closeBegun(stateDir, serverId);
  const saved = await readMemory(stateDir, serverId).catch((error: unknown) => {
    host.log.warn({ err: error, serverId, through }, "the record of a guest's saved memory is not readable: all that may be its files go");
    return 'unreadable' as const;
  });
  if (saved === 'unreadable') await removeMemories(host, serverId, through);
  else if (saved !== null) await rm(saved.path, { force: true });
  await rm(recordOf(stateDir, serverId), { force: true });
}

/** Takes away every file of a memory of this server up to epoch `through`, also what another host has left on a pool that both see. Only when custody has destroyed, or spent, all of them. */
export async function removeMemories({ config, pools }: MemoryHost, serverId: ServerId, through: Epoch): Promise<void> {
  const folders = [...pools.values()].map((pool) => confinedPath(join(pool.path, 'disks'), serverId));
  for (const folder of [runDir(config.stateDir, serverId).dir, ...folders]) {
    const names = await readdir(folder).catch((error: NodeJS.ErrnoException) => {
      if (error.code === 'ENOENT') return [];
      throw error;
    });
    for (const name of names) {
      const [, epoch] = /^memory-(\d+)$/.exec(name) ?? [];
      if (epoch !== undefined && Number(epoch) <= through) await rm(join(folder, name), { force: true });
    }
  }
}

async function closeBegun(stateDir: string, serverId: ServerId): Promise<void> {
  const key = recordOf(stateDir, serverId);
  const file = begunFiles.get(key);
  begunFiles.delete(key);
  // What it has to say was asked by the fsync.
  await file?.close().catch(() => undefined);
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
  await makeDurable(dirname(path));
}
