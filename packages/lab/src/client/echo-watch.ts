import { connect, type Socket } from 'node:net';
import { SilenceMeter } from './silence-meter.ts';

const echoPort = 7;
/** Each question is one line of this many bytes: its number, padded. */
const lineBytes = 16;

export interface EchoReading {
  readonly resets: number;
  readonly longestSilenceMs: number;
  readonly longestRoundTripMs: number;
  readonly echoes: number;
  readonly corrupt: number;
}

/**
 * One TCP connection held to a guest's echo service and asked every `everyMs` without waiting for answers, so that a stall shows in its full
 * length. It is opened again when it ends; that is what counts as a reset.
 */
export class EchoWatch {
  readonly #address: string;
  readonly #timer: NodeJS.Timeout;
  readonly #silence = new SilenceMeter();
  readonly #sentAtMs = new Map<number, number>();
  #socket: Socket | undefined;
  #received = '';
  #next = 0;
  #expected = 0;
  #resets = 0;
  #longestRoundTripMs = 0;
  #echoes = 0;
  #corrupt = 0;
  #closed = false;
  #wasConnected = false;

  constructor(address: string, everyMs: number) {
    this.#address = address;
    this.#timer = setInterval(() => this.#ask(), everyMs);
    this.#open();
  }

  read(nowMs: number): EchoReading {
    return {
      resets: this.#resets,
      longestSilenceMs: this.#silence.read(nowMs).longestMs,
      longestRoundTripMs: this.#longestRoundTripMs,
      echoes: this.#echoes,
      corrupt: this.#corrupt,
    };
  }

  reset(): void {
    this.#silence.reset();
    this.#resets = 0;
    this.#longestRoundTripMs = 0;
    this.#echoes = 0;
    this.#corrupt = 0;
  }

  close(): void {
    this.#closed = true;
    clearInterval(this.#timer);
    this.#socket?.destroy();
  }

  #open(): void {
    const socket = connect({ host: this.#address, port: echoPort, noDelay: true });
    this.#socket = socket;
    socket.on('connect', () => {
      this.#wasConnected = true;
      this.#received = '';
      this.#sentAtMs.clear();
      this.#expected = this.#next;
    });
    socket.on('data', (chunk: Buffer) => this.#hear(chunk));
    socket.on('error', () => {});
    socket.on('close', () => {
      this.#socket = undefined;
      if (this.#wasConnected) this.#resets += 1;
      this.#wasConnected = false;
      if (!this.#closed) setTimeout(() => this.#open(), 100);
    });
  }

  #ask(): void {
    if (this.#socket?.readyState !== 'open') return;
    const number = this.#next++;
    this.#sentAtMs.set(number, performance.now());
    this.#socket.write(`${String(number).padStart(lineBytes - 1)}\n`);
  }

  #hear(chunk: Buffer): void {
    const nowMs = performance.now();
    this.#silence.sign(nowMs);
    this.#received += chunk.toString('latin1');
    while (this.#received.length >= lineBytes) {
      const line = this.#received.slice(0, lineBytes);
      this.#received = this.#received.slice(lineBytes);
      const number = Number(line);
      if (number !== this.#expected || !line.endsWith('\n')) this.#corrupt += 1;
      this.#expected = number + 1;
      this.#echoes += 1;
      const sentAtMs = this.#sentAtMs.get(number);
      this.#sentAtMs.delete(number);
      if (sentAtMs !== undefined) this.#longestRoundTripMs = Math.max(this.#longestRoundTripMs, nowMs - sentAtMs);
    }
  }
}
