import type { ServerId } from '@godwit/domain/ids';
import type { QemuHost } from './qemu-host.ts';

/** Work behind the answers: what copies that have left are cleared away with. A failure is logged; the next sweep finds what it left. */
export class Clearing {
  readonly #log: QemuHost['log'];
  readonly #running = new Map<ServerId, Promise<void>>();

  constructor(log: QemuHost['log']) {
    this.#log = log;
  }

  /** The steps in their order, each of them whatever became of those before: what cannot be noted on a full disk, say, keeps no disk of the guest from being deleted. */
  add(serverId: ServerId, ...steps: readonly (() => Promise<unknown>)[]): void {
    const work = async (): Promise<void> => {
      for (const step of steps)
        await step().catch((error: unknown) =>
          this.#log.warn({ err: error, serverId }, 'traces of a copy that has left could not be cleared away'),
        );
    };
    const done: Promise<void> = this.done(serverId)
      .then(work)
      .finally(() => {
        if (this.#running.get(serverId) === done) this.#running.delete(serverId);
      });
    this.#running.set(serverId, done);
  }

  /** Resolves once nothing of an earlier copy of this server is being cleared away. */
  async done(serverId: ServerId): Promise<void> {
    await this.#running.get(serverId);
  }

  async allDone(): Promise<void> {
    await Promise.all(this.#running.values());
  }
}
