import { create } from '@bufbuild/protobuf';
import {
  type DiskChunk,
  DiskChunkSchema,
  type FetchDisksProgress,
  FetchDisksProgressSchema,
  type FetchDisksRequest,
  type SnapshotDiskRequest,
} from '@godwit/contract/gen/agent_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostId, MigrationId } from '@godwit/domain/ids';
import type { HostDriver } from '../drivers/host-driver.ts';
import type { DiskChunk as FileChunk } from '../storage/disk-stream.ts';
import type { ImageRef } from '../storage/image-cache.ts';
import { toConnectError } from './rpc-error.ts';
import { authorityFromWire } from './wire-custody.ts';
import { guestFromWire, idFromWire } from './wire-guest.ts';
import { peerFromWire } from './wire-migration.ts';

/** What a destination reads of a disk. */
export const diskChunks = (driver: HostDriver, from: HostId, migrationId: MigrationId, diskId: string): AsyncIterable<DiskChunk> =>
  chunksToWire(() => driver.readDisk(from, migrationId, diskId));

/** What a destination reads of an image. */
export const imageChunks = (driver: HostDriver, pool: string, image: ImageRef): AsyncIterable<DiskChunk> =>
  chunksToWire(() => driver.readImage(pool, image));

/** A disk at one moment, for an image. */
export const snapshotChunks = (
  driver: HostDriver,
  { custody, guest, diskId }: SnapshotDiskRequest,
  signal: AbortSignal,
): AsyncIterable<DiskChunk> => chunksToWire(() => driver.snapshotDisk(authorityFromWire(custody), guestFromWire(guest), diskId, signal));

async function* chunksToWire(read: () => AsyncIterable<FileChunk>): AsyncIterable<DiskChunk> {
  try {
    for await (const { offset, data, fileBytes } of read())
      yield create(DiskChunkSchema, { offset: BigInt(offset), data, fileBytes: BigInt(fileBytes) });
  } catch (error) {
    throw toConnectError(error);
  }
}

/** Throws GodwitError BadRequest for a word that is none. */
export function imageFormatFromWire(format: string): ImageRef['format'] {
  if (format === 'qcow2' || format === 'raw' || format === 'blob') return format;
  throw new GodwitError('BadRequest', `${JSON.stringify(format)} is no format of an image`);
}

const progressEveryMs = 250;

/** The copying of a guest's disks, told a few times a second. The stream ends when all are in place; the copying goes on when nobody listens any more. */
export async function* fetching(
  driver: HostDriver,
  { custody, migrationId, source, guest }: FetchDisksRequest,
): AsyncIterable<FetchDisksProgress> {
  let copied = 0;
  let ended = false;
  try {
    const work = driver
      .fetchDisks(
        authorityFromWire(custody),
        idFromWire(migrationId, 'migration id'),
        peerFromWire(source, 'source'),
        guestFromWire(guest),
        (bytes) => {
          copied = bytes;
        },
      )
      .finally(() => {
        ended = true;
      });
    // Looked at below, by the await that counts.
    work.catch(() => {});
    while (!ended) {
      await Promise.race([work, new Promise((resolve) => setTimeout(resolve, progressEveryMs))]);
      yield create(FetchDisksProgressSchema, { copiedBytes: BigInt(copied) });
    }
    await work;
  } catch (error) {
    throw toConnectError(error);
  }
}
