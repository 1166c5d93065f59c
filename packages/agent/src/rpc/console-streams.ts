import { once } from 'node:events';
import type { Duplex } from 'node:stream';
import { create } from '@bufbuild/protobuf';
import {
  type ConsoleChunk,
  ConsoleChunkSchema,
  ConsolePositionSchema,
  type DisplayData,
  DisplayDataSchema,
  type FollowConsoleRequest,
} from '@godwit/contract/gen/agent_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostDriver } from '../drivers/host-driver.ts';
import { toConnectError } from './rpc-error.ts';
import { idFromWire, numberFromWire } from './wire-guest.ts';

/** The most of a log's end that a viewer is given to begin with. */
const tailLimitBytes = 1_048_576;

/** A guest's console log, until the caller goes away. */
export async function* consoleChunks(
  { consoles }: Pick<HostDriver, 'consoles'>,
  { serverId, from, tailBytes }: FollowConsoleRequest,
  signal: AbortSignal,
): AsyncIterable<ConsoleChunk> {
  try {
    const place = from ? { epoch: numberFromWire(from.epoch, 'epoch'), offset: numberFromWire(from.offset, 'offset') } : null;
    const tail = Math.min(numberFromWire(tailBytes, 'tail_bytes'), tailLimitBytes);
    for await (const { data, position } of consoles.follow(idFromWire(serverId, 'server id'), place, tail, signal)) {
      yield create(ConsoleChunkSchema, {
        data,
        position: create(ConsolePositionSchema, { epoch: BigInt(position.epoch), offset: BigInt(position.offset) }),
      });
    }
  } catch (error) {
    throw toConnectError(error);
  }
}

/** A guest's display: what the caller sends goes to it, what it draws comes back, until either ends. */
export async function* displayData(
  { consoles }: Pick<HostDriver, 'consoles'>,
  requests: AsyncIterable<DisplayData>,
): AsyncIterable<DisplayData> {
  const sent = requests[Symbol.asyncIterator]();
  const first = await sent.next();
  if (first.done === true) throw toConnectError(new GodwitError('BadRequest', 'the first message names the guest'));
  let display: Duplex;
  try {
    display = await consoles.display(idFromWire(first.value.serverId, 'server id'));
  } catch (error) {
    throw toConnectError(error);
  }
  const feeding = feed(display, sent, first.value);
  try {
    for await (const data of display) yield create(DisplayDataSchema, { data: data as Buffer });
  } catch (error) {
    throw toConnectError(error);
  } finally {
    display.destroy();
    // Its own end is the caller's going away, which the caller knows.
    await feeding.catch(() => {});
  }
}

async function feed(display: Duplex, sent: AsyncIterator<DisplayData>, first: DisplayData): Promise<void> {
  try {
    for (let next: DisplayData | null = first; next !== null && !display.destroyed; ) {
      if (next.data.length > 0 && !display.write(next.data)) await once(display, 'drain');
      const { value, done } = await sent.next();
      next = done === true ? null : value;
    }
  } finally {
    display.end();
  }
}
