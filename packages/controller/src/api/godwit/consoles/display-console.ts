import { create } from '@bufbuild/protobuf';
import { type DisplayData, DisplayDataSchema } from '@godwit/contract/gen/agent_pb';
import type { WebSocket } from 'ws';
import type { AppContext } from '../../../app-context.ts';
import { closeCodes } from './close-codes.ts';
import { send } from './send.ts';
import { leavesHost, placeOf } from './server-place.ts';

/**
 * A guest's display over one websocket: RFB as it is, both ways. RFB has no way to go on elsewhere, so when the guest has moved the socket is closed with `moved`, and the page
 * connects again, keeping the picture it has.
 */
export async function displayConsole(context: AppContext, socket: WebSocket, serverId: string): Promise<void> {
  const ended = new AbortController();
  socket.once('close', () => ended.abort());
  // From the first moment on: a client may speak before the agent has answered.
  const sent = messages(socket, serverId);
  const place = await placeOf(context.db, serverId);
  if (place.kind !== 'on') {
    socket.close(place.kind === 'gone' ? closeCodes.gone : closeCodes.moved, 'the guest has no display now');
    return;
  }
  const left = leavesHost(context.db, serverId, place.host, ended.signal);
  try {
    const agent = await context.agents.client(place.host);
    for await (const { data } of agent.display(sent, { signal: left })) await send(socket, data);
  } catch (error) {
    if (!left.aborted) context.log.debug({ err: error, serverId, host: place.name }, 'a display ended');
  }
  ended.abort();
  socket.close(closeCodes.moved, 'the display is not there any more');
}

/** What the client sends, until it goes away; the first message names the guest. */
function messages(socket: WebSocket, serverId: string): AsyncIterable<DisplayData> {
  const queue: Uint8Array[] = [];
  let open = true;
  let wake = (): void => {};
  socket.on('message', (data: Buffer) => {
    queue.push(new Uint8Array(data));
    wake();
  });
  socket.once('close', () => {
    open = false;
    wake();
  });
  async function* told(): AsyncGenerator<DisplayData> {
    yield create(DisplayDataSchema, { serverId });
    while (open) {
      for (const data of queue.splice(0)) yield create(DisplayDataSchema, { data });
      if (queue.length === 0 && open)
        await new Promise<void>((resolve) => {
          wake = resolve;
        });
    }
  }
  return told();
}
