import { renameSync, writeFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { join } from 'node:path';
import { memoryOf } from '@godwit/domain/guest-memory';
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
  /** What is asked for of a guest never changes: written as text once, not at every change of any guest. */
  readonly #texts = new WeakMap<WantedGuest, string>();
  #pending: NodeJS.Immediate | null = null;

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
      const qemu = new SimulatedQemu(memoryOf(wanted), timings, runstate === 'finish-migrate' ? 'running' : runstate, null, pid);
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

  /** Writes them down once the caller has come to rest, however often it was called until then. In one go: a thousand hosts of one process hand nothing to other threads. */
  save(): void {
    this.#pending ??= setImmediate(() => this.flush());
  }

  /** When it returns, what was to be written is. */
  flush(): void {
    if (this.#pending === null) return;
    clearImmediate(this.#pending);
    this.#pending = null;
    this.#write();
  }

  #write(): void {
    const guests = [...this.#guests.values()]
      .filter(({ qemu }) => !qemu.dead)
      .map(({ wanted, qemu: { process, runstate, migration } }) => {
        const rest = JSON.stringify({ pid: process.pid, runstate, migration } satisfies Omit<Stored['guests'][number], 'wanted'>);
        return `{"wanted":${this.#text(wanted)},${rest.slice(1)}`;
      });
    writeFileSync(`${this.#path}.new`, `{"bootId":${JSON.stringify(this.#bootId)},"guests":[${guests.join(',')}]}`, { mode: 0o600 });
    renameSync(`${this.#path}.new`, this.#path);
  }

  #text(wanted: WantedGuest): string {
    const known = this.#texts.get(wanted);
    if (known !== undefined) return known;
    const text = JSON.stringify(wanted);
    this.#texts.set(wanted, text);
    return text;
  }
}
