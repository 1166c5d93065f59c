import type { ServerId } from '@godwit/domain/ids';
import { delay } from '../../migration/deadline.ts';
import { type DirtyMeasure, sampleDirty } from '../../qemu/dirty-sampling.ts';
import { openGuestMemory } from '../../qemu/guest-memory.ts';
import type { QemuHost } from './qemu-host.ts';

/** Over so long guests are looked at: shorter than a round, and as long as one. */
const windowsMs = [100, 1_000] as const;
const quickWindowsMs = [100] as const;
const restMs = 30_000;

/** `pid`: of the QEMU that was looked at; what another one did says nothing. */
export type TimedMeasure = DirtyMeasure & { readonly atMs: number; readonly pid: number };

/**
 * Knows how fast each running guest changes its memory: looks at one after the other, and rests. What it costs: about 20 ms of one core per guest and round (measured, whatever the guest's size). Never while a guest of this
 * host is moved.
 */
export class DirtyWatch {
  readonly #host: QemuHost;
  readonly #busy: () => boolean;
  readonly #known = new Map<ServerId, TimedMeasure>();
  readonly #closing = Promise.withResolvers<void>();
  #closed = false;

  /** `busy`: a move is under way on this host. */
  constructor(host: QemuHost, busy: () => boolean) {
    this.#host = host;
    this.#busy = busy;
    void this.#watch();
  }

  /**
   * What is known of a guest, if it is young enough; else a look that takes at most `maxWaitMs` (below a tenth of a second: none). Null: it does not run here, or there was no time.
   */
  async measure(serverId: ServerId, maxAgeMs: number, maxWaitMs: number): Promise<TimedMeasure | null> {
    const known = this.#known.get(serverId);
    if (known && known.pid === this.#host.guests.process(serverId)?.ref.pid && this.#host.clock.nowMs() - known.atMs <= maxAgeMs)
      return known;
    const windows = maxWaitMs >= 1_200 ? windowsMs : maxWaitMs >= 100 ? quickWindowsMs : null;
    return windows === null ? null : this.#look(serverId, windows);
  }

  close(): void {
    this.#closed = true;
    this.#closing.resolve();
  }

  async #watch(): Promise<void> {
    while (!this.#closed) {
      await Promise.race([delay(restMs), this.#closing.promise]);
      const servers = this.#host.guests.servers();
      for (const known of this.#known.keys()) if (!servers.includes(known)) this.#known.delete(known);
      for (const serverId of servers) {
        if (this.#closed || this.#busy()) break;
        const { state } = this.#host.guests.report(serverId);
        if (state === 'running') await this.#look(serverId, windowsMs);
      }
    }
  }

  async #look(serverId: ServerId, windows: readonly number[]): Promise<TimedMeasure | null> {
    const pid = this.#host.guests.process(serverId)?.ref.pid;
    const memory = pid === undefined ? null : openGuestMemory(pid);
    if (pid === undefined || memory === null) return null;
    try {
      const measure = await sampleDirty(memory, windows, { nowMs: () => performance.now(), delay });
      const timed = { ...measure, atMs: this.#host.clock.nowMs(), pid };
      // A quick look is worth less than a whole one; the watch takes that again.
      if (windows.length > 1) this.#known.set(serverId, timed);
      return timed;
    } catch (error) {
      this.#host.log.warn({ err: error, serverId }, "a guest's memory could not be looked at");
      return null;
    } finally {
      memory.close();
    }
  }
}
