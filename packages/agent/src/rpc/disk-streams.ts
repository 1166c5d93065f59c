import { create } from '@bufbuild/protobuf';
import {
  type DiskChunk,
  DiskChunkSchema,
  type FetchDisksProgress,
  FetchDisksProgressSchema,
  type FetchDisksRequest,
} from '@godwit/contract/gen/agent_pb';
import type { HostId, MigrationId } from '@godwit/domain/ids';
import type { HostDriver } from '../drivers/host-driver.ts';
import { toConnectError } from './rpc-error.ts';
import { authorityFromWire } from './wire-custody.ts';
import { guestFromWire, idFromWire } from './wire-guest.ts';
import { peerFromWire } from './wire-migration.ts';

/** What a destination reads of a disk. */
export async function* diskChunks(driver: HostDriver, from: HostId, migrationId: MigrationId, diskId: string): AsyncIterable<DiskChunk> {
  try {
    for await (const { offset, data, fileBytes } of driver.readDisk(from, migrationId, diskId))
      yield create(DiskChunkSchema, { offset: BigInt(offset), data, fileBytes: BigInt(fileBytes) });
  } catch (error) {
    throw toConnectError(error);
  }
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
