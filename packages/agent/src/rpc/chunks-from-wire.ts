import type { DiskChunk as WireChunk } from '@godwit/contract/gen/agent_pb';
import type { DiskChunk } from '../storage/disk-stream.ts';
import { numberFromWire } from './wire-guest.ts';

/**
 * A disk's or an image's chunks, as another host sends them. They are asked for when they are read, not before: a short answer that has come and gone before anybody reads it is taken for one that
 * was cut off (Node's readers of an HTTP/2 stream go by whether it is closed, not by what they still hold of it).
 */
export async function* chunksFromWire(ask: () => AsyncIterable<WireChunk>): AsyncIterable<DiskChunk> {
  for await (const { offset, data, fileBytes } of ask())
    yield { offset: numberFromWire(offset, 'offset'), data, fileBytes: numberFromWire(fileBytes, 'file_bytes') };
}
