import {
  beginConvergence,
  type ConvergenceState,
  type ConvergenceStep,
  converge,
  force as forceState,
} from '@godwit/domain/convergence/converge';
import type { ConvergencePolicy } from '@godwit/domain/convergence/policy';
import type { ConvergenceAction, ConvergenceSample } from '@godwit/domain/convergence/sample';
import type { MigrationPolicy } from '../drivers/host-driver.ts';
import type { MigrationRecord } from './migration-record.ts';
import type { MigrateLook } from './query-migrate.ts';
import { anyDowntimeMs } from './stream-setup.ts';

/** From STOP to the end, before the stream is cut: nobody runs meanwhile. */
const switchoverLimitMs = 5_000;

/** What steering can do to a stream. Each may fail: the stream then goes on as it was. */
export type SteeringWheel = {
  setDowntimeLimit(limitMs: number): Promise<void>;
  setThrottle(percent: number): Promise<void>;
  giveUp(cause: 'WillNotConverge' | 'DeadlineExceeded', why: string): Promise<void>;
};

/**
 * Brings what the policy's pure core says to QEMU, and to the record: what was done, and why. A copy without a policy is not steered, but can still be forced to finish.
 */
export class Steering {
  #policy: ConvergencePolicy | null;
  #state: ConvergenceState | null;
  readonly #record: MigrationRecord;
  readonly #wheel: SteeringWheel;
  #heldMs: number | null = null;
  #working = false;

  constructor(policy: MigrationPolicy, record: MigrationRecord, wheel: SteeringWheel) {
    this.#policy = policy.convergence ?? null;
    const begun = this.#policy && beginConvergence(this.#policy);
    this.#state = begun && policy.forceComplete ? forceState(begun) : begun;
    this.#record = record;
    this.#wheel = wheel;
  }

  /** The downtime limit to begin with; null: the policy's own. */
  get firstLimitMs(): number | null {
    return this.#state?.limitMs ?? null;
  }

  /** How long the guest may stand before the stream is cut. */
  get switchoverLimitMs(): number {
    return this.#heldMs === null ? switchoverLimitMs : Math.max(switchoverLimitMs, this.#heldMs * 3);
  }

  /** A policy that was changed while copying: steering begins anew, from its lowest limit. Resolves when QEMU has been told. */
  async setPolicy(policy: MigrationPolicy): Promise<void> {
    const held = this.#heldMs !== null;
    this.#policy = policy.convergence ?? null;
    const forced = this.#state?.forced === true || policy.forceComplete;
    const begun = this.#policy && beginConvergence(this.#policy);
    this.#state = forced && begun ? forceState(begun) : begun;
    if (held) return this.#wheel.setDowntimeLimit(anyDowntimeMs);
    if (forced && this.#state === null) return this.#apply({ kind: 'hold', expectedMs: 0, why: 'Completion was forced.' });
    if (policy.forceComplete) this.#record.mark('completion forced');
    await this.#wheel.setDowntimeLimit(this.firstLimitMs ?? policy.downtimeLimitMs);
  }

  /** One look at the running copy, its speed that of memory; resolves when what it asked for is done. */
  async seen(look: MigrateLook, elapsedMs: number): Promise<void> {
    if (this.#state === null || this.#policy === null || look.ram === null || look.status !== 'active' || this.#working) return;
    const sample = sampleOf(look, look.ram, elapsedMs);
    const firstPassEnds = this.#state.round <= 1 && sample.round >= 2;
    const step: ConvergenceStep = converge(this.#state, this.#policy, sample);
    this.#state = step.state;
    const linkBytesPerSecond = step.state.wireBytesPerSecond * (sample.memoryPerByte?.sent ?? 1);
    if (firstPassEnds && linkBytesPerSecond > 0) this.#record.note({ linkBytesPerSecond });
    await this.#apply(step.action);
  }

  async #apply(action: ConvergenceAction): Promise<void> {
    this.#working = true;
    try {
      switch (action.kind) {
        case 'wait':
          return;
        case 'set-downtime-limit':
          this.#record.mark(`downtime limit ${action.limitMs} ms`, action.why);
          return await this.#wheel.setDowntimeLimit(action.limitMs);
        case 'throttle':
          this.#record.mark(`slowed down by ${action.percent} %`, action.why);
          return await this.#wheel.setThrottle(action.percent);
        case 'hold':
          this.#heldMs = action.expectedMs;
          this.#record.mark('pause and finish', action.why);
          return await this.#wheel.setDowntimeLimit(anyDowntimeMs);
        case 'post-copy':
          // No policy that allows it gets here (policy.ts, postCopyRefusal).
          this.#record.mark('post-copy refused', action.why);
          return await this.#wheel.giveUp('WillNotConverge', action.why);
        case 'give-up':
          return await this.#wheel.giveUp(action.cause, action.why);
      }
    } catch (error) {
      // A hanging monitor is the look's to find; what QEMU refuses is known by name, and the copy goes on.
      this.#record.mark('steering failed', (error as Error).message);
    } finally {
      this.#working = false;
    }
  }
}

const sampleOf = (look: MigrateLook, ram: NonNullable<MigrateLook['ram']>, elapsedMs: number): ConvergenceSample => ({
  // QEMU's own clock of the copy outlives the agent.
  atMs: look.totalMs ?? elapsedMs,
  round: ram.dirtySyncCount,
  transferredBytes: ram.transferredBytes,
  remainingBytes: ram.remainingBytes,
  bandwidthBytesPerSecond: ram.mbps * 125_000,
  dirtyBytesPerSecond: ram.dirtyPagesRate * ram.pageSize,
  ...(look.memoryPerByte && { memoryPerByte: look.memoryPerByte }),
});
