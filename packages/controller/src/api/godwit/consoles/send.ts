import type { WebSocket } from 'ws';

/** Above this a slow client holds up its own console alone. */
const highWaterBytes = 1_048_576;

/** Resolves when more may be sent. */
export async function send(socket: WebSocket, data: Uint8Array | string): Promise<void> {
  if (socket.readyState !== socket.OPEN) return;
  await new Promise<void>((resolve) => {
    if (socket.bufferedAmount > highWaterBytes) {
      socket.send(data, () => resolve());
    } else {
      socket.send(data, () => {});
      resolve();
    }
  });
}
