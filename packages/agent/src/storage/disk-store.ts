import { randomBytes } from 'node:crypto';
import { mkdir, readdir, rename, rm, rmdir, stat } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { BackingSpec, DiskFormat, DiskSpec } from '@godwit/domain/guest-spec';
import { rbdImageName } from './ceph-pool.ts';
import { confinedPath, refuseEscape } from './confined-path.ts';
import { readHead } from './inspect-image.ts';
import type { Pool } from './pool.ts';
import { qcow2Refusal, readQcow2Header } from './qcow2-header.ts';
import { qemuImg } from './qemu-img.ts';
import {
  growRbdImage,
  makeRbdImage,
  rbdOccupies,
  rbdSize,
  removeRbdDisk,
  removeServerRbdDisks,
  serversWithRbdDisks,
} from './rbd-images.ts';

export type DiskRequest = {
  readonly serverId: string;
  readonly diskId: string;
  readonly format: DiskFormat;
  readonly sizeBytes: number;
  /** A cached image of the same pool (image-cache.ts): qcow2 disks become overlays of it, raw disks copies. Absent: a blank disk. */
  readonly image?: { readonly path: string; readonly format: DiskFormat; readonly virtualSizeBytes: number };
};

/** Where a copy of a disk is made; one at a time. What an agent that died left there goes with the next copy, or with the disk. */
export const snapshotPath = (path: string): string => `${path}.snapshot.part`;

const quick = { timeoutMs: 30_000, limited: true } as const;
/** A copy is bounded by whoever asked for it (signal); this only catches a storage that has died. */
const copyTimeoutMs = 6 * 3_600_000;

/** Where the file of a server's disk lies in a pool; of a disk that is an image, where what is copied out of it lies. */
export const diskPath = (pool: Pick<Pool, 'path'>, serverId: string, diskId: string, format: DiskFormat): string =>
  confinedPath(join(pool.path, 'disks'), serverId, `${diskId}.${format}`);

/**
 * Creates a disk and returns it as a guest's spec names it. Repeating the call finds the disk and returns the same, grown when it is smaller (the server was
 * resized); its content is never touched again. Only for a guest that does not run.
 * Throws GodwitError BadRequest when the image is larger than the disk, Conflict when there is a larger disk or one of another format, NoSpace, ImageUnsafe;
 * nothing half-made stays.
 */
export async function createDisk(pool: Pool, request: DiskRequest, signal?: AbortSignal): Promise<DiskSpec> {
  const { serverId, diskId, sizeBytes, image } = request;
  if (image && image.virtualSizeBytes > sizeBytes) {
    throw new GodwitError('BadRequest', `the image needs a disk of ${image.virtualSizeBytes} bytes, the flavor's has ${sizeBytes}`, {
      diskId,
    });
  }
  const disk = diskSpec(pool, request);
  const present = await findDisk(pool, disk);
  if (present) {
    if (present.virtualSizeBytes < sizeBytes) await growDisk(pool, disk, sizeBytes);
    else if (present.virtualSizeBytes > sizeBytes)
      throw new GodwitError(
        'Conflict',
        `disk ${diskId} of server ${serverId} exists with ${present.virtualSizeBytes} bytes instead of ${sizeBytes}`,
      );
    return disk;
  }
  if (disk.rbd !== undefined) await makeRbdImage(disk.rbd, disk.rbd.image, sizeBytes, image, signal);
  else await makeDiskFile(pool, disk.path, request, signal);
  return disk;
}

/** Throws what qemu-img says; the file has its name only once it is whole. */
async function makeDiskFile(pool: Pool, path: string, { format, sizeBytes, image }: DiskRequest, signal?: AbortSignal): Promise<void> {
  await mkdir(join(path, '..'), { recursive: true, mode: 0o700 });
  const part = `${path}.${randomBytes(6).toString('hex')}.part`;
  const size = String(sizeBytes);
  const abort = signal ? { signal } : {};
  try {
    if (format === 'qcow2') {
      await qemuImg(['create', '-q', '-f', 'qcow2', ...(image ? ['-b', image.path, '-F', image.format] : []), part, size], {
        ...quick,
        ...abort,
      });
    } else if (image) {
      await qemuImg(
        [
          'convert',
          '-q',
          ...(pool.io.directIo ? ['-t', 'none', '-T', 'none'] : []),
          '-W',
          '-f',
          image.format,
          '-O',
          'raw',
          image.path,
          part,
        ],
        { timeoutMs: copyTimeoutMs, limited: false, ...abort },
      );
      await qemuImg(['resize', '-q', '-f', 'raw', part, size], quick);
    } else {
      await qemuImg(['create', '-q', '-f', 'raw', part, size], { ...quick, ...abort });
    }
    await rename(part, path);
  } catch (error) {
    await rm(part, { force: true });
    throw error;
  }
}

/** The disk as a guest's spec names it, without looking whether it is there. */
export function diskSpec(pool: Pool, request: DiskRequest): DiskSpec {
  const { serverId, diskId, format, sizeBytes, image } = request;
  const common = { id: diskId, readOnly: false, storage: pool.kind, sizeBytes, directIo: pool.io.directIo } as const;
  // The cluster is thin by itself, and a qcow2 within it would be one format in another: whatever was asked for, an image there is raw and stands alone.
  if (pool.ceph) return { ...common, format: 'raw', rbd: { ...pool.ceph, image: rbdImageName(serverId, diskId) } };
  const backing: BackingSpec | undefined = format === 'qcow2' && image ? { path: image.path, format: image.format } : undefined;
  return { ...common, path: diskPath(pool, serverId, diskId, format), format, ...(backing && { backing }) };
}

export type FoundDisk = { readonly virtualSizeBytes: number; readonly allocatedBytes: (signal?: AbortSignal) => Promise<number> };

type Place = Pick<DiskSpec, 'format' | 'path' | 'rbd'>;

/** Size of a disk of this pool, or undefined when it is not there. Throws what diskFacts throws, ImageUnsafe for one that leads out of the pool. */
export async function findDisk(pool: Pool, disk: Place): Promise<FoundDisk | undefined> {
  const { rbd } = disk;
  if (rbd !== undefined) {
    const virtualSizeBytes = await rbdSize(rbd, rbd.image);
    return virtualSizeBytes === undefined
      ? undefined
      : { virtualSizeBytes, allocatedBytes: (signal) => rbdOccupies(rbd, rbd.image, signal) };
  }
  const path = fileOf(disk);
  await refuseEscape(pool.path, path);
  const facts = await diskFacts(path, disk.format);
  return facts && { virtualSizeBytes: facts.virtualSizeBytes, allocatedBytes: () => Promise.resolve(facts.allocatedBytes) };
}

/**
 * Grows a disk that no guest has open. The same size is no change. Throws GodwitError BadRequest when it would shrink, NotFound, Conflict while a guest runs on it.
 */
export async function growDisk(pool: Pool, disk: Place & Pick<DiskSpec, 'id'>, sizeBytes: number): Promise<void> {
  const present = await findDisk(pool, disk);
  if (!present) throw new GodwitError('NotFound', `disk ${disk.id} is not in pool ${pool.name}`);
  if (sizeBytes < present.virtualSizeBytes)
    throw new GodwitError('BadRequest', `disk ${disk.id} has ${present.virtualSizeBytes} bytes and cannot shrink to ${sizeBytes}`);
  if (sizeBytes === present.virtualSizeBytes) return;
  if (disk.rbd !== undefined) await growRbdImage(disk.rbd, disk.rbd.image, sizeBytes);
  else await qemuImg(['resize', '-q', '-f', disk.format, fileOf(disk), String(sizeBytes)], quick);
}

/** Deletes one disk; returns whether it was there. */
export async function deleteDisk(pool: Pool, serverId: string, diskId: string, format: DiskFormat): Promise<boolean> {
  const path = diskPath(pool, serverId, diskId, format);
  await refuseEscape(pool.path, path);
  const existed = pool.ceph ? await removeRbdDisk(pool.ceph, serverId, diskId) : (await diskFacts(path, format)) !== undefined;
  await rm(path, { force: true });
  await rm(snapshotPath(path), { force: true });
  await rmdir(join(path, '..')).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
  });
  return existed;
}

/** Deletes everything of a server in this pool: its disks, and its console log if that is kept here. Can be repeated. */
export async function deleteServerDisks(pool: Pool, serverId: string): Promise<void> {
  const folder = confinedPath(join(pool.path, 'disks'), serverId);
  if (pool.ceph) await removeServerRbdDisks(pool.ceph, serverId);
  await rm(folder, { recursive: true, force: true });
}

/** Servers that have disks in this pool: for finding what nobody owns. */
export async function serversWithDisks(pool: Pool): Promise<readonly string[]> {
  if (pool.ceph) return serversWithRbdDisks(pool.ceph);
  return readdir(join(pool.path, 'disks'));
}

/** Where a server's console log lies when it is kept on a pool: on a shared one, every host reads and continues the same log. */
export const consoleDirOf = (pool: Pick<Pool, 'path'>, serverId: string): string =>
  confinedPath(join(pool.path, 'disks'), serverId, 'console');

function fileOf({ path }: Place): string {
  if (path === undefined) throw new GodwitError('Internal', 'a disk that is an image was taken for a file');
  return path;
}

export type DiskFacts = {
  readonly virtualSizeBytes: number;
  /** What it occupies on the pool, holes excluded. */
  readonly allocatedBytes: number;
};

/**
 * Facts of a disk, or undefined when there is none. Reads its first bytes only, so it is safe while a guest writes to it.
 * Throws GodwitError ImageUnsafe when what lies there is not a disk that we could have made.
 */
export async function diskFacts(path: string, format: DiskFormat): Promise<DiskFacts | undefined> {
  let stats;
  try {
    stats = await stat(path);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
  const allocatedBytes = stats.blocks * 512;
  if (format === 'raw') return { virtualSizeBytes: stats.size, allocatedBytes };
  const { head } = await readHead(path);
  try {
    const header = readQcow2Header(head);
    const reason = qcow2Refusal(header, true);
    if (reason !== null) throw new RangeError(reason);
    return { virtualSizeBytes: header.virtualSizeBytes, allocatedBytes };
  } catch (error) {
    throw new GodwitError('ImageUnsafe', `${path} is no disk of ours: ${(error as Error).message}`, {}, { cause: error });
  }
}
