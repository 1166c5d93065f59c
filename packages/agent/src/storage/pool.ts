import { randomBytes, randomUUID } from 'node:crypto';
import { constants } from 'node:fs';
import { link, mkdir, open, readFile, realpath, rm, statfs, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { PoolFacts, StorageKind } from '@godwit/domain/host';

export type PoolConfig = {
  readonly name: string;
  readonly kind: StorageKind;
  readonly path: string;
  /** false: never O_DIRECT. Absent or true: where the file system offers it. */
  readonly directIo?: boolean;
  /** The operator's word that two hosts' page caches agree on this pool (a cluster file system that invalidates them). */
  readonly declaredCoherent?: boolean;
};

/** An opened pool: its folders exist, its identity is known, and how its disks are opened is decided. */
export type Pool = {
  readonly name: string;
  readonly kind: StorageKind;
  /** Absolute, with symbolic links resolved. */
  readonly path: string;
  /** Equal on every host that sees the same files. */
  readonly poolId: string;
  readonly io: PoolIo;
};

export type PoolIo = { readonly directIo: true } | { readonly directIo: false; readonly reason: string; readonly coherent: boolean };

const identityFile = '.godwit-pool';

/**
 * Opens a pool: makes its folders `images` and `disks`, reads (or, once, writes) its identity and tries O_DIRECT.
 * Throws GodwitError PoolUnavailable when the directory is absent, not one, or not writable.
 */
export async function openPool(config: PoolConfig): Promise<Pool> {
  try {
    const path = await realpath(config.path);
    await mkdir(join(path, 'images'), { recursive: true, mode: 0o755 });
    await mkdir(join(path, 'disks'), { recursive: true, mode: 0o700 });
    const poolId = await identity(path);
    const accepts = await acceptsDirectIo(path);
    return { name: config.name, kind: config.kind, path, poolId, io: poolIo(config, accepts) };
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
export function poolIo(config: Pick<PoolConfig, 'kind' | 'directIo' | 'declaredCoherent'>, fileSystemAccepts: boolean): PoolIo {
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
  const { totalBytes, freeBytes } = await poolSpace(pool);
  return { name: pool.name, poolId: pool.poolId, kind: pool.kind, totalBytes, freeBytes };
}

/** Bytes of the pool's file system; `freeBytes` is what an ordinary user may still write. Throws PoolUnavailable when it does not answer. */
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
