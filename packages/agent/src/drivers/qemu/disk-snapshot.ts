import { mkdir, open, rm, rmdir } from 'node:fs/promises';
import { dirname } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskSpec } from '@godwit/domain/guest-spec';
import { faultPoint } from '../../fault-point.ts';
import { removeMirrors, snapshotName } from '../../migration/remove-mirrors.ts';
import { diskNode } from '../../qemu/command-line.ts';
import type { GuestProcess } from '../../qemu/guest-process.ts';
import { rbdImageOptions } from '../../storage/ceph-pool.ts';
import { refuseEscape } from '../../storage/confined-path.ts';
import { diskFacts, diskPath, findDisk, snapshotPath } from '../../storage/disk-store.ts';
import { type DiskChunk, readOpenDisk } from '../../storage/disk-stream.ts';
import { imagePath } from '../../storage/image-cache.ts';
import type { Pool } from '../../storage/pool.ts';
import { qemuImg } from '../../storage/qemu-img.ts';
import type { SpaceLedger } from '../../storage/space-ledger.ts';
import { demandOurs } from '../demand-ours.ts';
import type { Authority } from '../host-driver.ts';
import type { WantedDisk, WantedGuest } from '../wanted-guest.ts';
import { diskSpecOf, poolNamed } from './guest-spec-of.ts';
import type { QemuHost } from './qemu-host.ts';

/** A copy is bounded by whoever asked for it; this only catches a storage that has died. */
const copyTimeoutMs = 6 * 3_600_000;

/**
 * A guest's disk as it is at one moment, as a file that stands alone. Of a guest that runs QEMU copies what was there when it began, while the guest goes on: what it has written and not flushed may be
 * missing, as after a power cut. A stopped guest's disk is copied by qemu-img. Nothing else begins with the server meanwhile. The copy lies beside the disk, nameless as soon as it is whole; nothing of it
 */
export async function* snapshotDisk(
  host: QemuHost,
  space: SpaceLedger,
  authority: Authority,
  wanted: WantedGuest,
  diskId: string,
  signal: AbortSignal,
): AsyncIterable<DiskChunk> {
  const disk = wanted.disks.find((one) => one.diskId === diskId);
  if (disk === undefined) throw new GodwitError('NotFound', `the guest has no disk ${diskId}`);
  const pool = poolNamed(host.pools, disk.pool);
  const spec = diskSpecOf(wanted, disk, pool);
  const target = snapshotPath(diskPath(pool, wanted.serverId, disk.diskId, disk.format));
  const copy = await host.exclusive(wanted.serverId, async () => {
    demandOurs(host, authority, 'reads');
    await refuseEscape(pool.path, target);
    const release = await space.claim(pool, await roomOf(pool, disk, spec, signal));
    try {
      // Of a disk that is no file nothing is there yet.
      await mkdir(dirname(target), { recursive: true, mode: 0o700 });
      await rm(target, { force: true });
      const process = host.guests.process(wanted.serverId);
      if (process !== null && isAlive(host, authority)) await copyRunning(process, disk, target, signal);
      else await copyStopped(spec, target, signal);
      return await open(target, 'r');
    } finally {
      await rm(target, { force: true });
      release();
      if (spec.rbd !== undefined) await removeIfEmpty(dirname(target));
    }
  });
  yield* readOpenDisk(copy, target);
}

/** Of a disk that is no file nothing else is there, unless the guest had other files in this pool. */
const removeIfEmpty = (folder: string): Promise<void> =>
  rmdir(folder).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== 'ENOENT' && error.code !== 'ENOTEMPTY') throw error;
  });

/** What a copy can come to: all that the disk and the image under it occupy, never more than the disk's size. */
async function roomOf(pool: Pool, disk: WantedDisk, spec: DiskSpec, signal: AbortSignal): Promise<number> {
  const facts = await findDisk(pool, spec);
  if (!facts) throw new GodwitError('NotFound', `disk ${disk.diskId} is not in pool ${disk.pool} of this host`);
  const image = disk.image && spec.backing ? await diskFacts(imagePath(pool, disk.image), disk.image.format) : undefined;
  return Math.min(disk.sizeBytes, (await facts.allocatedBytes(signal)) + (image?.allocatedBytes ?? 0));
}

async function copyStopped(spec: DiskSpec, target: string, signal: AbortSignal): Promise<void> {
  const source = spec.rbd === undefined ? ['-f', spec.format, spec.path] : ['--image-opts', rbdImageOptions(spec.rbd)];
  await qemuImg(['convert', '-q', '-O', 'qcow2', ...source, target], { timeoutMs: copyTimeoutMs, limited: false, signal });
}

async function copyRunning(process: GuestProcess, disk: WantedDisk, target: string, signal: AbortSignal): Promise<void> {
  const index = process.spec.disks.findIndex(({ id }) => id === disk.diskId);
  if (index < 0) throw new GodwitError('NotFound', `the guest does not run with disk ${disk.diskId}`);
  const { qmp } = process;
  const name = snapshotName(index);
  const clear = (): Promise<void> => removeMirrors(qmp, [name], () => Promise.resolve());
  await clear();
  await qemuImg(['create', '-q', '-f', 'qcow2', target, String(disk.sizeBytes)], { timeoutMs: 30_000, limited: true });
  const ended = Promise.withResolvers<string>();
  const unlisten = qmp.on(({ event, data }) => {
    if (data['device'] !== name) return;
    if (event === 'BLOCK_JOB_COMPLETED') ended.resolve(typeof data['error'] === 'string' ? data['error'] : '');
    else if (event === 'BLOCK_JOB_CANCELLED') ended.resolve('it was cancelled');
  });
  const abort = (): void => ended.resolve('nobody waits for it any more');
  signal.addEventListener('abort', abort);
  try {
    signal.throwIfAborted();
    await qmp.execute('blockdev-add', {
      driver: 'qcow2',
      'node-name': name,
      discard: 'unmap',
      'detect-zeroes': 'unmap',
      file: { driver: 'file', filename: target, discard: 'unmap' },
    });
    await qmp.execute('blockdev-backup', {
      'job-id': name,
      device: diskNode(index),
      target: name,
      sync: 'full',
      'on-source-error': 'report',
      'on-target-error': 'report',
    });
    await faultPoint('snapshot.copying');
    const error = await Promise.race([ended.promise, process.ended.then(() => 'the guest’s QEMU ended')]);
    if (/no space/i.test(error)) throw new GodwitError('NoSpace', `pool ${disk.pool} has no room for a copy of disk ${disk.diskId}`);
    if (error !== '') throw new GodwitError('Internal', `disk ${disk.diskId} could not be copied: ${error}`);
  } finally {
    signal.removeEventListener('abort', abort);
    unlisten();
    // Closes the file: what QEMU had not written yet is in it then.
    await clear();
  }
}

const isAlive = (host: QemuHost, { serverId }: Authority): boolean => {
  const { copy } = host.custody.state(serverId);
  return copy.kind === 'held' && copy.alive;
};
