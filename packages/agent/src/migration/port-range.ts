import { createServer } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';

/** Hands out the ports of the migration range, the one given back longest ago last, so that a late connection of an old move meets nobody. */
export class PortRange {
  readonly #first: number;
  readonly #last: number;
  readonly #taken = new Set<number>();
  #next: number;

  constructor([first, last]: readonly [number, number]) {
    this.#first = first;
    this.#last = last;
    this.#next = first;
  }

  /** Throws GodwitError ServiceUnavailable when all are in use. */
  take(): number {
    for (let turn = this.#first; turn <= this.#last; turn += 1) {
      const port = this.#next;
      this.#next = port === this.#last ? this.#first : port + 1;
      if (this.#taken.has(port)) continue;
      this.#taken.add(port);
      return port;
    }
    throw new GodwitError('ServiceUnavailable', `all migration ports ${this.#first}-${this.#last} of this host are in use`);
  }

  /**
   * One that nobody on this host has: any program's outgoing connection may have been given a port of this range, which the kernel's own range for those usually includes. Throws as `take`.
   */
  async takeFree(address: string): Promise<number> {
    const others: number[] = [];
    try {
      for (;;) {
        const port = this.take();
        if (await isFree(address, port)) return port;
        others.push(port);
      }
    } finally {
      for (const port of others) this.giveBack(port);
    }
  }

  /** Every port in use. */
  get taken(): readonly number[] {
    return [...this.#taken];
  }

  /** Marks a port as taken by a move that an earlier agent began. */
  hold(port: number): void {
    this.#taken.add(port);
  }

  giveBack(port: number): void {
    this.#taken.delete(port);
  }
}

/** Other refusals than of the port itself are for whoever listens there to tell. */
const isFree = (address: string, port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', (error: NodeJS.ErrnoException) => resolve(error.code !== 'EADDRINUSE'));
    probe.listen({ host: address, port, exclusive: true }, () => probe.close(() => resolve(true)));
  });
