import { once } from 'node:events';
import { connect, createServer, type Server, type Socket } from 'node:net';

export type Direction = 'forth' | 'back';

/** Stands between the stream's two ends as the network does: what is sent can get lost without a word, in either direction, and the connection can break. */
export class StreamRelay implements AsyncDisposable {
  readonly #server: Server;
  readonly #sockets = new Set<Socket>();
  readonly #losing = new Set<Direction>();
  #last: readonly Socket[] = [];
  #lostAlone: Socket | null = null;
  /** How many have come. */
  connections = 0;

  private constructor(server: Server, to: string) {
    this.#server = server;
    server.on('connection', (source: Socket) => {
      const destination = connect(to);
      this.connections += 1;
      this.#last = [source, destination];
      this.#pass('forth', source, destination);
      this.#pass('back', destination, source);
    });
  }

  /** Listens at `path`, and connects who comes with `to`; both are unix sockets. */
  static async between(path: string, to: string): Promise<StreamRelay> {
    const server = createServer();
    const relay = new StreamRelay(server, to);
    server.listen(path);
    await once(server, 'listening');
    return relay;
  }

  /** From now on nothing gets through in these directions, not even the end of the connection. */
  lose(...directions: readonly Direction[]): void {
    for (const direction of directions) this.#losing.add(direction);
  }

  /** The same for what the source sends over the connection that came last. */
  loseLast(): void {
    this.#lostAlone = this.#last[0] ?? null;
  }

  /** Both ends see the connection end that came last. */
  cutLast(): void {
    for (const socket of this.#last) socket.destroy();
  }

  /** Both ends see their connections end. */
  cut(): void {
    for (const socket of this.#sockets) socket.destroy();
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.cut();
    const closed = once(this.#server, 'close');
    this.#server.close();
    await closed;
  }

  #pass(direction: Direction, from: Socket, to: Socket): void {
    this.#sockets.add(from);
    from.on('error', () => undefined);
    from.on('data', (bytes) => {
      if (!this.#losing.has(direction) && from !== this.#lostAlone) to.write(bytes);
    });
    from.on('close', () => {
      if (!this.#losing.has(direction) && from !== this.#lostAlone) to.destroy();
    });
  }
}
