import { randomBytes, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { PoolFacts, StorageKind } from '@godwit/domain/host';
import { type CephPool, type CephSettings, cephPool } from './ceph-pool.ts';
import { cephSpace } from './ceph-space.ts';
import { openCephPool } from './open-ceph-pool.ts';

export type PoolConfig = {
  readonly name: string;
  /** `rbd`: disks are images of the cluster that `ceph` names, and `path` is this host's own. */
  readonly kind: StorageKind | 'rbd';
  readonly path: string;
  /** false: never O_DIRECT. Absent or true: where the file system offers it. */
  readonly directIo?: boolean;
  /** The operator's word that two hosts' page caches agree on this pool (a cluster file system that invalidates them). */
  readonly declaredCoherent?: boolean;
  readonly ceph?: CephSettings;
};

/** An opened pool: its folders exist, its identity is known, and how its disks are opened is decided. */
export type Pool = {
  readonly name: string;
  readonly kind: StorageKind;
  /** Absolute, with symbolic links resolved. */
  readonly path: string;
  /** Equal on every host that sees the same disks. */
  readonly poolId: string;
  readonly io: PoolIo;
  /** Disks are images there, and `path` has this host's own files only: cached images, and what is copied out of disks. Absent: disks are files below `path`. */
  readonly ceph?: CephPool;
};

/** Whether what one host writes below the pool's path is there on every host of the pool. */
export const sharesFiles = (pool: Pick<Pool, 'kind' | 'ceph'>): boolean => pool.kind === 'shared' && pool.ceph === undefined;

export type PoolIo = { readonly directIo: true } | { readonly directIo: false; readonly reason: string; readonly coherent: boolean };

const identityFile = '.godwit-pool';

/**
 * Opens a pool: makes its folders `images` and `disks`, reads (or, once, writes) its identity and tries O_DIRECT. Of an RBD pool: that the cluster answers, has the pool, and QEMU can open images there.
 * Throws GodwitError PoolUnavailable when the directory is absent, not one, or not writable, or the cluster cannot be used.
 */
export async function openPool(config: PoolConfig): Promise<Pool> {
  const { name, kind } = config;
  try {
    if (kind === 'rbd') await mkdir(config.path, { recursive: true, mode: 0o755 });
    const path = await realpath(config.path);
    await mkdir(join(path, 'images'), { recursive: true, mode: 0o755 });
    await mkdir(join(path, 'disks'), { recursive: true, mode: 0o700 });
    if (kind === 'rbd') {
      if (config.ceph === undefined) throw new Error('its configuration names no pool of a Ceph cluster');
      const ceph = cephPool(config.ceph);
      const poolId = await openCephPool(ceph);
      return { name, kind: 'shared', path, poolId, io: { directIo: true }, ceph };
    }
    const poolId = await identity(path);
    const accepts = await acceptsDirectIo(path);
    return { name, kind, path, poolId, io: poolIo({ ...config, kind }, accepts) };
  } catch (error) {
    throw new GodwitError(
      'PoolUnavailable',
      `pool ${config.name} at ${config.path} cannot be used: ${(error as Error).message}`,
      { pool: config.name },
      { cause: error },
    );
  }
}

/**
 * The fallback rule. Without O_DIRECT a guest's disk goes through the host's page cache: harmless on a local pool, since no other host reads the
 * file; on a shared pool the destination of a move could read stale pages, so there it takes the operator's word that caches are coherent.
 */
export function poolIo(
  config: Pick<PoolConfig, 'directIo' | 'declaredCoherent'> & { readonly kind: StorageKind },
  fileSystemAccepts: boolean,
): PoolIo {
  if (config.directIo !== false && fileSystemAccepts) return { directIo: true };
  const reason = config.directIo === false ? 'direct I/O is switched off in the configuration' : 'its file system refuses direct I/O';
  return { directIo: false, reason, coherent: config.kind === 'local' || config.declaredCoherent === true };
}

/** Why a guest with a disk on this pool cannot be live-migrated without copying the disk; null when it can. */
export function sharedMoveRefusal(pool: Pick<Pool, 'name' | 'kind' | 'io'>): GodwitError | null {
  if (pool.kind === 'local')
    return new GodwitError('InvalidSharedStorage', `pool ${pool.name} is local to its host: its disks have to be copied`, {
      pool: pool.name,
    });
  if (pool.io.directIo || pool.io.coherent) return null;
  return new GodwitError(
    'InvalidSharedStorage',
    `pool ${pool.name}: ${pool.io.reason}, and it is not declared coherent: the destination could read stale data`,
    { pool: pool.name },
  );
}

/** Size and free space as of now, for the host's report. */
export async function poolFacts(pool: Pool): Promise<PoolFacts> {
  const { totalBytes, freeBytes } = pool.ceph === undefined ? await poolSpace(pool) : await cephSpace(pool.ceph);
  return { name: pool.name, poolId: pool.poolId, kind: pool.kind, totalBytes, freeBytes };
}

/** Bytes of the file system of the pool's path; `freeBytes` is what an ordinary user may still write. Throws PoolUnavailable when it does not answer. */
export async function poolSpace(pool: Pick<Pool, 'name' | 'path'>): Promise<{ readonly totalBytes: number; readonly freeBytes: number }> {
  try {
    const stats = await statfs(pool.path);
    return { totalBytes: stats.blocks * stats.bsize, freeBytes: stats.bavail * stats.bsize };
  } catch (error) {
    throw new GodwitError(
      'PoolUnavailable',
      `pool ${pool.name} does not answer: ${(error as Error).message}`,
      { pool: pool.name },
      { cause: error },
    );
  }
}

/** Two hosts may open a new shared pool at the same instant: a hard link decides who names it. */
async function identity(path: string): Promise<string> {
  const file = join(path, identityFile);
  const mine = `${file}.${randomBytes(6).toString('hex')}`;
  await writeFile(mine, `${randomUUID()}\n`, { mode: 0o444 });
  try {
    await link(mine, file);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
  } finally {
    await rm(mine, { force: true });
  }
  return (await readFile(file, 'utf8')).trim();
}

/** File systems that know no O_DIRECT refuse it when the file is opened. */
async function acceptsDirectIo(path: string): Promise<boolean> {
  const probe = join(path, `.direct-io.${randomBytes(6).toString('hex')}`);
  try {
    const file = await open(probe, constants.O_CREAT | constants.O_EXCL | constants.O_RDWR | constants.O_DIRECT, 0o600);
    await file.close();
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'EINVAL' || (error as NodeJS.ErrnoException).code === 'EOPNOTSUPP') return false;
    throw error;
  } finally {
    await rm(probe, { force: true });
  }
}
