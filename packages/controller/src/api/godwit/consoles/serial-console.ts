import { setTimeout as delay } from 'node:timers/promises';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import type { ConsolePositionSchema } from '@godwit/contract/gen/agent_pb';
import type { HostId } from '@godwit/domain/ids';
import type { WebSocket } from 'ws';
import type { AppContext } from '../../../app-context.ts';
import { closeCodes } from './close-codes.ts';
import { send } from './send.ts';
import { leavesHost, placeOf } from './server-place.ts';

/** As much of the log as a viewer sees of what was before. */
const tailBytes = 32_768n;
/** An agent that restarts is back within seconds. */
const retryMs = 500;

export type SerialOptions = {
  /** `<epoch>-<offset>`: where an earlier connection ended; null: the log's end. */
  readonly from: string | null;
  /** Also tells, in text frames of JSON, which host the guest is on, and the place in the log behind each piece. */
  readonly events: boolean;
};

/**
 * A guest's serial console over one websocket: its bytes as binary frames, what the client sends goes into the port. Stays attached when the guest moves, and when an agent restarts: the
 * log is followed by its place, so nothing is shown twice or left out. What is typed while the guest stands still for the switch may be lost. Ends when the client does, or with
 * `gone` when the server is deleted.
 */
export async function serialConsole(context: AppContext, socket: WebSocket, serverId: string, options: SerialOptions): Promise<void> {
  const ended = new AbortController();
  socket.once('close', () => ended.abort());
  typing(context, socket, serverId);
  let from = parsePlace(options.from);
  const tell = async (event: object): Promise<void> => (options.events ? send(socket, JSON.stringify(event)) : undefined);
  let told: HostId | null = null;
  while (!ended.signal.aborted) {
    const place = await placeOf(context.db, serverId).catch(() => null);
    if (place?.kind === 'gone') {
      socket.close(closeCodes.gone, 'the server was deleted');
      return;
    }
    if (place?.kind !== 'on') {
      await delay(retryMs, undefined, { signal: ended.signal }).catch(() => {});
      continue;
    }
    if (place.host !== told) {
      told = place.host;
      await tell({ kind: 'host', name: place.name });
    }
    const left = leavesHost(context.db, serverId, place.host, ended.signal);
    try {
      const agent = await context.agents.client(place.host);
      const log = agent.followConsole({ serverId, tailBytes, ...(from === null ? {} : { from }) }, { signal: left });
      for await (const { data, position } of log) {
        await send(socket, data);
        if (position === undefined) continue;
        from = { epoch: position.epoch, offset: position.offset };
        await tell({ kind: 'place', place: `${position.epoch}-${position.offset}` });
      }
    } catch (error) {
      if (!left.aborted) context.log.debug({ err: error, serverId, host: place.name }, 'a console stream ended; it is opened again');
    }
    if (!left.aborted) await delay(retryMs, undefined, { signal: ended.signal }).catch(() => {});
  }
}

/** What the client sends, in its order, each to the host where the guest is at that moment. */
function typing(context: AppContext, socket: WebSocket, serverId: string): void {
  let last: Promise<void> = Promise.resolve();
  socket.on('message', (data: Buffer) => {
    last = last.then(async () => {
      try {
        const place = await placeOf(context.db, serverId);
        if (place.kind !== 'on') return;
        const agent = await context.agents.client(place.host);
        await agent.writeConsole({ serverId, data: new Uint8Array(data) }, { timeoutMs: 5_000 });
      } catch (error) {
        // A guest that is off takes no keys.
        if (!(error instanceof ConnectError && error.code === Code.NotFound))
          context.log.debug({ err: error, serverId }, 'what was typed did not reach the guest');
      }
    });
  });
}

function parsePlace(text: string | null): MessageInitShape<typeof ConsolePositionSchema> | null {
  const match = /^(\d{1,15})-(\d{1,15})$/.exec(text ?? '');
  return match === null ? null : { epoch: BigInt(match[1] ?? 0), offset: BigInt(match[2] ?? 0) };
}
