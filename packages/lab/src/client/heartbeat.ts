/** The demo guest's heartbeat datagram (packages/lab/guest/heartbeat.c). */
export interface Heartbeat {
  readonly nonce: string;
  readonly counter: number;
  /** The guest's own monotonic clock: it stands still while the guest does. */
  readonly guestUs: number;
}

const format = /^godwit1 ([0-9a-f]{16}) (\d{1,15}) (\d{1,15})\n$/;

/** Undefined for anything that is not a whole heartbeat. */
export function parseHeartbeat(payload: Uint8Array): Heartbeat | undefined {
  const found = format.exec(Buffer.from(payload).toString('latin1'));
  const [, nonce, counter, guestUs] = found ?? [];
  if (nonce === undefined || counter === undefined || guestUs === undefined) return undefined;
  return { nonce, counter: Number(counter), guestUs: Number(guestUs) };
}

export const heartbeatPort = 9100;
