import { randomBytes } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskFormat } from '@godwit/domain/guest-spec';
import {
  type CephPool,
  isImageOf,
  isUnfinished,
  poolArguments,
  rbdImageName,
  rbdImageOptions,
  serverOfImage,
  unfinishedName,
} from './ceph-pool.ts';
import { cephTool, isInUse } from './ceph-tool.ts';
import { qemuImg } from './qemu-img.ts';

/** A copy is bounded by whoever asked for it (signal); this only catches a storage that has died. */
const copyTimeoutMs = 6 * 3_600_000;
/** Without an object map each object that an image could have is asked for, and removed, one by one: five minutes for an empty TiB on a small cluster. */
const countTimeoutMs = 30 * 60_000;
const removeTimeoutMs = 6 * 3_600_000;
/** A client that was killed counts as one for osd_client_watch_timeout (30 s) more; on a busy one longer. Shorter than what a controller waits for the answer (90 s). */
const watchersGoneWithinMs = 75_000;
/** A making that has failed says so soon, whatever becomes of its rest. */
const restGoneWithinMs = 1_000;
const askAgainMs = 1_000;

const rbd = (ceph: CephPool, verb: string, ...args: readonly string[]): Promise<string> =>
  cephTool('rbd', [verb, ...poolArguments(ceph), ...args]);

/** Size of an image; undefined when there is none. Reads nothing of it, so a guest may be writing to it. */
export async function rbdSize(ceph: CephPool, image: string): Promise<number | undefined> {
  try {
    return (JSON.parse(await rbd(ceph, 'info', '--format', 'json', '--image', image)) as { readonly size: number }).size;
  } catch (error) {
    if (error instanceof GodwitError && error.code === 'NotFound') return undefined;
    throw error;
  }
}

/** Bytes that an image occupies, each counted once; for which every object of it is asked for: half a minute for a few TiB. */
export async function rbdOccupies(ceph: CephPool, image: string, signal?: AbortSignal): Promise<number> {
  const args = ['du', ...poolArguments(ceph), '--format', 'json', '--image', image];
  const { images } = JSON.parse(await cephTool('rbd', args, { deadlineMs: countTimeoutMs, ...(signal && { signal }) })) as {
    readonly images: readonly { readonly used_size: number; readonly snapshot?: string }[];
  };
  return images.reduce((sum, one) => sum + one.used_size, 0);
}

/**
 * Layering alone. With exclusive-lock (Ceph's default) the lock goes to whoever writes next, so that it keeps no second guest away; but it goes nowhere while its owner cannot answer, and a source's QEMU that was ended after its guest had
 * moved has been seen to hold the destination's first write for half a minute, until the cluster took it for dead (16.2.15). Object-map and fast-diff need that lock.
 */
const features = 'layering';

/**
 * Makes an image, blank or with the content of a disk image of this host; it has its name only once it is whole. What a failed making has left goes at once, or behind: a client that was just killed counts as one for a while. Throws what `rbd` and qemu-img say: NoSpace, PoolUnavailable.
 */
export async function makeRbdImage(
  ceph: CephPool,
  image: string,
  sizeBytes: number,
  content: { readonly path: string; readonly format: DiskFormat } | undefined,
  signal?: AbortSignal,
): Promise<void> {
  const part = unfinishedName(image, randomBytes(4).toString('hex'));
  try {
    await rbd(ceph, 'create', '--image-feature', features, '--size', `${sizeBytes}B`, '--image', part);
    if (content) {
      const target = ['-n', '--target-image-opts', '--target-is-zero', rbdImageOptions({ ...ceph, image: part })];
      await qemuImg(['convert', '-q', '-t', 'none', '-W', '-f', content.format, ...target.slice(0, 3), content.path, ...target.slice(3)], {
        timeoutMs: copyTimeoutMs,
        limited: false,
        ...(signal && { signal }),
      });
    }
    await rbd(ceph, 'rename', part, image);
  } catch (error) {
    // What cannot be removed goes with the disk, or with its server.
    const gone = removeRbdImage(ceph, part).catch(() => false);
    await Promise.race([gone, delay(restGoneWithinMs, undefined, { ref: false })]);
    throw error;
  }
}

export async function growRbdImage(ceph: CephPool, image: string, sizeBytes: number): Promise<void> {
  await rbd(ceph, 'resize', '--no-progress', '--size', `${sizeBytes}B`, '--image', image);
}

/** By cluster, pool and image: removals that go on. Whoever ordered one may have stopped waiting for it. */
const removing = new Map<string, Promise<boolean>>();

/**
 * Removes an image; returns, once nothing of it is left, whether it was there. Waits for clients that died with it open. An order that is repeated while the removal goes on joins it: two would keep each other from it, each a client that
 * has the image open. Throws GodwitError Conflict while somebody has it open or snapshots of it exist.
 */
export function removeRbdImage(ceph: CephPool, image: string): Promise<boolean> {
  const key = JSON.stringify([...poolArguments(ceph), image]);
  const goingOn = removing.get(key);
  if (goingOn) return goingOn;
  const removal = remove(ceph, image).finally(() => removing.delete(key));
  removing.set(key, removal);
  return removal;
}

async function remove(ceph: CephPool, image: string): Promise<boolean> {
  for (const until = performance.now() + watchersGoneWithinMs; ; await delay(askAgainMs)) {
    try {
      await cephTool('rbd', ['rm', ...poolArguments(ceph), '--no-progress', '--image', image], { deadlineMs: removeTimeoutMs });
      return true;
    } catch (error) {
      if (!(error instanceof GodwitError)) throw error;
      if (error.code === 'NotFound') return false;
      if (!isInUse(error) || performance.now() > until) throw error;
    }
  }
}

const images = async (ceph: CephPool): Promise<readonly string[]> =>
  JSON.parse(await rbd(ceph, 'ls', '--format', 'json')) as readonly string[];

/** Removes a disk's image, and what makings of it have left that died with their agent; returns whether the disk was there. */
export async function removeRbdDisk(ceph: CephPool, serverId: string, diskId: string): Promise<boolean> {
  const image = rbdImageName(serverId, diskId);
  for (const left of await images(ceph)) if (isUnfinished(left, image)) await removeRbdImage(ceph, left);
  return removeRbdImage(ceph, image);
}

/** Removes every image of a server. Can be repeated. */
export async function removeServerRbdDisks(ceph: CephPool, serverId: string): Promise<void> {
  for (const image of await images(ceph)) if (isImageOf(image, serverId)) await removeRbdImage(ceph, image);
}

/** Servers that have images in the pool. */
export async function serversWithRbdDisks(ceph: CephPool): Promise<readonly string[]> {
  return [...new Set((await images(ceph)).flatMap((name) => serverOfImage(name) ?? []))];
}
