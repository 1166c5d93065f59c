import type { QemuMigrationStatus, QemuProcess, QemuRunstate, QemuView } from '@godwit/domain/custody/qemu-view';
import type { QemuControl } from '../../custody/qemu-control.ts';
import { delay } from '../../migration/deadline.ts';
import type { SimulatedCopy } from './simulated-copy.ts';
import { copyMs, type SimulatedTimings } from './simulated-timings.ts';

/** Pids that no kernel gives out (its limit is 2^22): whoever looks for such a process finds none, and kills none. */
let nextPid = 1 << 22;

/** Where a stream arrives: every simulated QEMU of this process that waits for one, by `address:port`. */
const listening = new Map<string, SimulatedQemu>();

/** `gives-up`: the copy has come to where its policy gives it up; somebody has to cancel it. */
export type SimulatedEvent = 'STOP' | 'RESUME' | 'ended' | 'gives-up';

/** A QEMU that is only a state machine: run state and migration status change as QEMU's do, including its own resume after a failed move. */
export class SimulatedQemu implements QemuControl {
  readonly process: QemuProcess;
  /** All that its guest has now. */
  ramMib: number;
  runstate: QemuRunstate;
  migration: QemuMigrationStatus = 'none';
  /** Started for a move; its listening address. */
  readonly #listens: string | null;
  readonly #timings: SimulatedTimings;
  readonly #statusListeners = new Set<(status: QemuMigrationStatus) => void>();
  readonly #eventListeners = new Set<(event: SimulatedEvent) => void>();
  /** Of the stream under way; replaced by each. */
  #attempt = 0;
  dead = false;
  /** How the next stream goes; without it, the steady state. */
  copy: SimulatedCopy | null = null;
  #hurried = false;

  constructor(ramMib: number, timings: SimulatedTimings, runstate: QemuRunstate, listens: string | null, pid = (nextPid += 1)) {
    this.process = { pid, startTicks: 0 };
    nextPid = Math.max(nextPid, pid);
    this.ramMib = ramMib;
    this.#timings = timings;
    this.runstate = runstate;
    this.#listens = listens;
    if (listens !== null) listening.set(listens, this);
  }

  on(listener: (event: SimulatedEvent) => void): void {
    this.#eventListeners.add(listener);
  }

  onMigrationStatus(listener: (status: QemuMigrationStatus) => void): () => void {
    this.#statusListeners.add(listener);
    return () => this.#statusListeners.delete(listener);
  }

  look(): Promise<QemuView | null> {
    return Promise.resolve(this.dead ? null : { runstate: this.runstate, migration: this.migration });
  }

  async cont(): Promise<void> {
    this.#alive();
    this.runstate = 'running';
    this.#tell('RESUME');
  }

  async stop(): Promise<void> {
    this.#alive();
    if (this.runstate === 'running') this.#tell('STOP');
    this.runstate = 'paused';
  }

  async reset(): Promise<void> {
    this.#alive();
    if (this.runstate === 'other') this.runstate = 'paused';
  }

  /** The guest shuts itself down a moment later. */
  async powerDown(): Promise<void> {
    this.#alive();
    void delay(this.#timings.qemuStartMs).then(() => {
      if (!this.dead && this.runstate === 'running') {
        this.runstate = 'other';
        this.#tell('STOP');
      }
    });
  }

  async migrate(args: Readonly<Record<string, unknown>>): Promise<void> {
    this.#alive();
    this.#attempt += 1;
    this.#hurried = false;
    this.#status('setup');
    void ('memory' in args ? this.#save(this.#attempt) : this.#stream(listening.get(String(args['to'])), this.#attempt));
  }

  /** A memory that was saved arrives; the guest stands still. */
  async load(): Promise<void> {
    this.#status('active');
    await delay(copyMs(this.ramMib, { ...this.#timings, dirtyBytesPerSecond: 0 }));
    this.#alive();
    this.runstate = 'paused';
    this.#status('completed');
  }

  async continueMigration(): Promise<void> {
    throw new Error('a simulated QEMU does not pause before the switchover');
  }

  async cancel(): Promise<void> {
    if (this.migration === 'setup' || this.migration === 'active') this.#fail('cancelled');
  }

  async quit(): Promise<void> {
    this.die();
  }

  /** The copy under way is over at once: the guest is stopped for the rest. */
  hurry(): void {
    this.#hurried = true;
  }

  /** The end of the process, however it came. */
  die(): void {
    if (this.dead) return;
    this.dead = true;
    this.#attempt += 1;
    if (this.#listens !== null && listening.get(this.#listens) === this) listening.delete(this.#listens);
    this.#tell('ended');
  }

  async #save(attempt: number): Promise<void> {
    const gone = (): boolean => this.dead || this.#attempt !== attempt;
    await delay(1);
    if (gone()) return;
    if (Math.random() < this.#timings.failureRate) return this.#fail('failed');
    this.#status('active');
    await delay(copyMs(this.ramMib, { ...this.#timings, dirtyBytesPerSecond: 0 }));
    if (gone()) return;
    this.#tell('STOP');
    this.runstate = 'postmigrate';
    this.#status('completed');
  }

  async #stream(to: SimulatedQemu | undefined, attempt: number): Promise<void> {
    const gone = (): boolean => this.dead || this.#attempt !== attempt;
    await delay(1);
    if (gone()) return;
    if (!to || to.dead || Math.random() < this.#timings.failureRate) return this.#fail('failed');
    this.#status('active');
    to.#status('active');
    // In slices: a destination that dies meanwhile is noticed.
    const { copy } = this;
    for (let left = copy?.copyMs ?? copyMs(this.ramMib, this.#timings); left > 0 && !this.#hurried; left -= 100) {
      await delay(Math.min(100, left));
      if (gone()) return;
      if (to.dead) return this.#fail('failed');
    }
    if (copy?.givesUp && !this.#hurried) {
      this.#tell('gives-up');
      return;
    }
    const wasRunning = this.runstate === 'running';
    this.runstate = 'finish-migrate';
    if (wasRunning) this.#tell('STOP');
    this.#status('device');
    const blackoutMs = copy?.blackoutMs ?? this.#timings.blackoutMs;
    if (blackoutMs > 0) await delay(blackoutMs);
    if (this.dead) return;
    if (to.dead) return this.#fail('failed', wasRunning);
    to.runstate = 'paused';
    to.#status('completed');
    this.migration = 'completed';
    this.runstate = 'postmigrate';
    this.#status('completed');
  }

  #fail(status: 'failed' | 'cancelled', resumes = false): void {
    this.#attempt += 1;
    if (resumes) {
      this.runstate = 'running';
      this.#tell('RESUME');
    }
    this.#status(status);
  }

  #status(status: QemuMigrationStatus): void {
    this.migration = status;
    for (const listener of [...this.#statusListeners]) listener(status);
  }

  #tell(event: SimulatedEvent): void {
    for (const listener of [...this.#eventListeners]) listener(event);
  }

  #alive(): void {
    if (this.dead) throw new Error('the simulated QEMU is dead');
  }
}
