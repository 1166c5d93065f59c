import { createSocket, type Socket } from 'node:dgram';
import { once } from 'node:events';

/** What is kept at most: a stop that lasts longer has cost every connection its timer anyway. */
const keptMs = 3_000;
const keptBytes = 16 * 1024 * 1024;
/** A burst that arrives while the agent does something else waits here; the kernel gives as much of it as it allows. */
const socketBytes = 4 * 1024 * 1024;

type Held = { readonly atMs: number; readonly packet: Buffer };

/**
 * Where a destination keeps the frames of the source's mirror until its guest runs. Nobody knows beforehand when the stop comes, so the mirror begins early, by a tenth of a second or by
 * many; the guest must not get what it had long before it stopped: a queue of a thousand frames would be full of them when those of the stop come, and a guest that wakes would answer each
 * before it sees anything new. So they are held here, and let in from the stop on. Frames are the tunnel's own packets, handed on unread to the kernel's end of it on this host.
 */
export class FrameHold {
  readonly #from: string;
  readonly #to: { readonly address: string; readonly port: number };
  readonly #socket: Socket;
  readonly #held: Held[] = [];
  #bytes = 0;
  #open = false;

  private constructor(socket: Socket, from: string, to: { readonly address: string; readonly port: number }) {
    this.#socket = socket;
    this.#from = from;
    this.#to = to;
    socket.on('message', (packet, { address }) => {
      if (address === this.#from) this.#received(packet);
    });
    // What cannot be handed on is lost, as a frame may be.
    socket.on('error', () => undefined);
  }

  /** Receives at `at`, from `from` alone, and keeps. Throws when the port cannot be had. */
  static async listen(
    at: { readonly address: string; readonly port: number },
    from: string,
    to: { readonly address: string; readonly port: number },
  ): Promise<FrameHold> {
    const socket = createSocket({ type: at.address.includes(':') ? 'udp6' : 'udp4', recvBufferSize: socketBytes });
    socket.bind(at.port, at.address);
    await once(socket, 'listening');
    socket.unref();
    return new FrameHold(socket, from, to);
  }

  /** Hands on what has arrived since `sinceMs` (of performance.now()), the oldest first, and from now on everything. */
  letIn(sinceMs: number): void {
    this.#open = true;
    for (const { atMs, packet } of this.#held) if (atMs >= sinceMs) this.#handOn(packet);
    this.drop();
  }

  /** How many frames are held. */
  get kept(): number {
    return this.#held.length;
  }

  /** Forgets what is held. */
  drop(): void {
    this.#held.length = 0;
    this.#bytes = 0;
  }

  close(): void {
    this.drop();
    this.#socket.close();
  }

  #received(packet: Buffer): void {
    if (this.#open) {
      this.#handOn(packet);
      return;
    }
    const atMs = performance.now();
    this.#held.push({ atMs, packet });
    this.#bytes += packet.length;
    for (let oldest = this.#held[0]; oldest && (this.#bytes > keptBytes || atMs - oldest.atMs > keptMs); oldest = this.#held[0]) {
      this.#bytes -= oldest.packet.length;
      this.#held.shift();
    }
  }

  #handOn(packet: Buffer): void {
    this.#socket.send(packet, this.#to.port, this.#to.address);
  }
}
