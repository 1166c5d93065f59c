import { readFile, rename, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { BootId, ServerId } from '@godwit/domain/ids';
import type { WantedGuest } from '../wanted-guest.ts';
import { SimulatedQemu } from './simulated-qemu.ts';
import type { SimulatedTimings } from './simulated-timings.ts';

export type SimulatedGuest = { readonly wanted: WantedGuest; readonly qemu: SimulatedQemu };

type Stored = {
  readonly bootId: BootId;
  readonly guests: readonly {
    readonly wanted: WantedGuest;
    readonly pid: number;
    readonly runstate: SimulatedQemu['runstate'];
    readonly migration: SimulatedQemu['migration'];
  }[];
};

/** The guests of one simulated host, in a file, so that they outlive the agent as QEMU processes do; a move under way does not. */
export class SimulatedGuests {
  readonly #path: string;
  readonly #bootId: BootId;
  readonly #guests = new Map<ServerId, SimulatedGuest>();
  #writing: Promise<void> = Promise.resolve();
  /** A write that has not begun shows what is changed until it does. */
  #waiting = false;

  constructor(stateDir: string, bootId: BootId) {
    this.#path = join(stateDir, 'guests.json');
    this.#bootId = bootId;
  }

  /** Reads what an earlier agent left in this boot of the host. */
  async load(timings: SimulatedTimings, watch: (serverId: ServerId, guest: SimulatedGuest) => void): Promise<void> {
    const text = await readFile(this.#path, 'utf8').catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? null : Promise.reject(error),
    );
    const stored = text === null ? null : (JSON.parse(text) as Stored);
    if (stored?.bootId !== this.#bootId) return;
    for (const { wanted, pid, runstate, migration } of stored.guests) {
      const qemu = new SimulatedQemu(wanted.ramMib, timings, runstate === 'finish-migrate' ? 'running' : runstate, null, pid);
      qemu.migration = migration === 'completed' ? 'completed' : migration === 'none' ? 'none' : 'failed';
      const guest = { wanted, qemu };
      this.#guests.set(wanted.serverId, guest);
      watch(wanted.serverId, guest);
    }
  }

  get(serverId: ServerId): SimulatedGuest | undefined {
    return this.#guests.get(serverId);
  }

  servers(): readonly ServerId[] {
    return [...this.#guests.keys()];
  }

  set(serverId: ServerId, guest: SimulatedGuest): void {
    this.#guests.set(serverId, guest);
    this.save();
  }

  remove(serverId: ServerId): void {
    this.#guests.get(serverId)?.qemu.die();
    if (this.#guests.delete(serverId)) this.save();
  }

  /** Writes them down behind the caller's back; the newest state wins. */
  save(): void {
    if (this.#waiting) return;
    this.#waiting = true;
    this.#writing = this.#writing
      .catch(() => undefined)
      .then(async () => {
        this.#waiting = false;
        const guests = [...this.#guests.values()]
          .filter(({ qemu }) => !qemu.dead)
          .map(({ wanted, qemu }) => ({ wanted, pid: qemu.process.pid, runstate: qemu.runstate, migration: qemu.migration }));
        await writeFile(`${this.#path}.new`, JSON.stringify({ bootId: this.#bootId, guests } satisfies Stored), { mode: 0o600 });
        await rename(`${this.#path}.new`, this.#path);
      });
  }

  flushed(): Promise<void> {
    return this.#writing;
  }
}
