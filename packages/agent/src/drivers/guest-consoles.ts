import type { Duplex } from 'node:stream';
import type { ServerId } from '@godwit/domain/ids';

/** A place in a guest's console log, good on every host that has the log: the custody epoch of a segment, and a byte in it. */
export type ConsolePosition = { readonly epoch: number; readonly offset: number };

/** Bytes of the console log, and the place behind them. */
export type ConsoleChunk = { readonly data: Buffer; readonly position: ConsolePosition };

/** What a person sees of a guest, and types into it. Nothing here makes a guest run or stop. */
export type GuestConsoles = {
  /**
   * The console log from a place on (null: from `tailBytes` before its end), and what is added to it, until the signal aborts. A place that has been trimmed away goes on at
   * the oldest byte kept.
   */
  follow(serverId: ServerId, from: ConsolePosition | null, tailBytes: number, signal: AbortSignal): AsyncIterable<ConsoleChunk>;
  /** Into the guest's serial port, in order. Throws GodwitError ServerNotFound when no guest of that id has a QEMU here. */
  write(serverId: ServerId, data: Uint8Array): Promise<void>;
  /** A connection to the guest's display, speaking RFB. Throws ServerNotFound as `write`, NotImplemented for a guest without one. */
  display(serverId: ServerId): Promise<Duplex>;
};
