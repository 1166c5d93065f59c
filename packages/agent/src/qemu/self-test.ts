import { rm } from 'node:fs/promises';
import { join } from 'node:path';
import type { HostFacts } from '@godwit/domain/host';
import { multifdChannels, streamProof } from '@godwit/domain/memory-stream';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import { readLetters } from './boot-sector.ts';
import { defaultCpuModel, newestMachine, type QemuCapabilities } from './capabilities.ts';
import { allowed, type MigrationFeature } from './forbidden.ts';
import { type GuestProcess, startGuest } from './guest-process.ts';
import { awaitLetters, lettersOf } from './letters.ts';
import type { QmpEvent } from './qmp-client.ts';
import { throwawayHostname, writeThrowawayCertificates } from './throwaway-certificates.ts';
import { throwawayDir, throwawayGuest } from './throwaway-guest.ts';

export type SelfTestResult = HostFacts['selfTest'][number];

export type SelfTestOptions = {
  readonly capabilities: QemuCapabilities;
  readonly stateDir: string;
  /** For one move, its destination's start included. */
  readonly moveDeadlineMs: number;
  /** For everything: what is not tried by then is published as not tried. */
  readonly totalDeadlineMs: number;
};

/** One way to move a guest. */
type Trial = {
  readonly feature: string;
  /** As the forbidden table names them; `return-path` is always used. */
  readonly uses: readonly MigrationFeature[];
  readonly capabilities: readonly string[];
  readonly tls: boolean;
  /** Of the channels; absent: there is one stream. */
  readonly compression?: 'none' | 'zstd';
};

/** In the order of their use: if the first fails, nothing else matters. */
const trials: readonly Trial[] = [
  { feature: 'pre-copy', uses: ['pre-copy'], capabilities: [], tls: false },
  { feature: 'pause-before-switchover', uses: ['pre-copy'], capabilities: ['pause-before-switchover', 'late-block-activate'], tls: false },
  { feature: 'tls', uses: ['pre-copy', 'tls'], capabilities: ['pause-before-switchover', 'late-block-activate'], tls: true },
  {
    feature: streamProof.multifd,
    uses: ['pre-copy', 'multifd', 'tls'],
    capabilities: ['multifd', 'late-block-activate'],
    tls: true,
    compression: 'none',
  },
  {
    feature: streamProof.zstd,
    uses: ['pre-copy', 'multifd', 'multifd-compression', 'tls'],
    capabilities: ['multifd', 'late-block-activate'],
    tls: true,
    compression: 'zstd',
  },
];

/** What is tried: results of another list say nothing of this one. */
export const selfTestFeatures: readonly string[] = trials.map(({ feature }) => feature);

const everUsed = [...new Set(['events', 'return-path', ...trials.flatMap((trial) => trial.capabilities)])];

/**
 * Proves this host by doing: a guest that counts aloud and checks its memory (boot-sector.ts) is moved from QEMU to QEMU, once per feature, and must go on counting
 * at the next number each time. `completed` alone is worth nothing: QEMU 7.2 under TCG says so and the guest is dead.
 *
 * Returns one result per feature, in a fixed order; never throws for a feature that fails. No process and no file of it is left.
 */
export async function selfTest(options: SelfTestOptions): Promise<readonly SelfTestResult[]> {
  throwawayGate.discardLeftovers(options.stateDir);
  const lane = new Lane(options);
  const until = performance.now() + options.totalDeadlineMs;
  const results: SelfTestResult[] = [];
  try {
    for (const trial of trials) {
      const startedAt = performance.now();
      const done = (works: boolean, detail: string): SelfTestResult => ({
        feature: trial.feature,
        works,
        detail,
        durationMs: Math.round(performance.now() - startedAt),
      });
      const refusal = refusalOf(trial, options.capabilities);
      if (refusal !== null) results.push(done(false, refusal));
      else if (performance.now() >= until) results.push(done(false, `not tried: the self-test's ${options.totalDeadlineMs} ms were over`));
      else
        results.push(
          await lane.move(trial).then(
            (detail) => done(true, detail),
            (error: Error) => done(false, error.message),
          ),
        );
    }
    return results;
  } finally {
    await lane.clear();
    await rm(throwawayDir(options.stateDir), { recursive: true, force: true });
  }
}

function refusalOf(trial: Trial, capabilities: QemuCapabilities): string | null {
  const verdict = allowed(new Set<MigrationFeature>(['return-path', ...trial.uses]), [capabilities.version], capabilities.accelerator);
  if (!verdict.allowed) return verdict.sentence;
  const missing = trial.capabilities.filter((one) => !capabilities.migrationCapabilities.includes(one));
  return missing.length > 0 ? `this QEMU has no ${missing.join(', ')}` : null;
}

/** A guest that is moved along a row of QEMUs; after a failed move the next trial begins with a new one. */
class Lane {
  readonly #options: SelfTestOptions;
  #source: GuestProcess | undefined;
  #hop = 0;
  #certificates: string | undefined;

  constructor(options: SelfTestOptions) {
    this.#options = options;
  }

  /** Moves the guest once; returns what was seen, for the record. Throws with what went wrong. */
  async move(trial: Trial): Promise<string> {
    const deadlineMs = this.#options.moveDeadlineMs;
    const credentials = trial.tls ? await this.#writeCertificates() : undefined;
    const source = await this.#running();
    const destination = await startGuest(source.spec, { ...this.#start(), incoming: true });
    let arrived = false;
    try {
      if (credentials !== undefined)
        await Promise.all([addCredentials(source, credentials, 'client'), addCredentials(destination, credentials, 'server')]);
      const wanted = new Set(['events', 'return-path', ...trial.capabilities]);
      // All of them each time: a QEMU that was a destination keeps what it was told then, also its TLS credentials.
      const capabilities = everUsed
        .filter((one) => this.#options.capabilities.migrationCapabilities.includes(one))
        .map((capability) => ({ capability, state: wanted.has(capability) }));
      const channels =
        trial.compression === undefined ? {} : { 'multifd-channels': multifdChannels, 'multifd-compression': trial.compression };
      for (const side of [source, destination]) {
        await side.qmp.execute('migrate-set-capabilities', { capabilities });
        const tls = trial.tls
          ? { 'tls-creds': credentialsId(side === source ? 'client' : 'server'), 'tls-hostname': throwawayHostname }
          : { 'tls-creds': '', 'tls-hostname': '' };
        await side.qmp.execute('migrate-set-parameters', { 'downtime-limit': 300, 'max-bandwidth': 0, ...tls, ...channels });
      }
      const path = `${destination.run.dir}/ram.sock`;
      await destination.qmp.execute('migrate-incoming', { uri: `unix:${path}` });
      const stopped = source.qmp.next((event) => event.event === 'STOP', deadlineMs);
      const resumed = destination.qmp.next((event) => event.event === 'RESUME', deadlineMs);
      for (const one of [stopped, resumed]) one.catch(() => undefined);
      await this.#preCopy(source, destination, path, trial);
      await this.#goesOn(source, destination);
      const stoppedMs = (await resumed).timestampMs - (await stopped).timestampMs;
      arrived = true;
      return `arrived and went on counting; stopped for ${stoppedMs.toFixed(1)} ms`;
    } finally {
      this.#source = arrived ? destination : undefined;
      await throwawayGate.discard(source);
      if (!arrived) await throwawayGate.discard(destination);
    }
  }

  async clear(): Promise<void> {
    if (this.#source) await throwawayGate.discard(this.#source);
    this.#source = undefined;
  }

  /** Returns when the guest runs at the destination. */
  async #preCopy(source: GuestProcess, destination: GuestProcess, path: string, trial: Trial): Promise<void> {
    const deadlineMs = this.#options.moveDeadlineMs;
    const ended = source.qmp.next((event) => isMigration(event, 'completed', 'failed', 'cancelled'), deadlineMs);
    const loaded = destination.qmp.next((event) => isMigration(event, 'completed', 'failed'), deadlineMs);
    loaded.catch(() => undefined);
    const paused = trial.capabilities.includes('pause-before-switchover')
      ? source.qmp.next((event) => isMigration(event, 'pre-switchover', 'failed'), deadlineMs)
      : undefined;
    paused?.catch(() => undefined);
    await throwawayGate.migrate(source, { uri: `unix:${path}` });
    if (paused) {
      demand(await paused, 'pre-switchover', 'source');
      await throwawayGate.migrateContinue(source);
    }
    demand(await ended, 'completed', 'source');
    demand(await loaded, 'completed', 'destination');
    await throwawayGate.run(destination);
  }

  /** The destination's letters must continue where the source's ended. */
  async #goesOn(source: GuestProcess, destination: GuestProcess): Promise<void> {
    const after = await awaitLetters(destination, 4, this.#options.moveDeadlineMs);
    const before = await lettersOf(source);
    const whole = readLetters(before.slice(-64) + after);
    if (whole.kind === 'broken')
      throw new Error(
        `the guest did not go on where it stopped: …${before.slice(-8)} at the source, ${after.slice(0, 8)}… at the destination`,
      );
  }

  async #running(): Promise<GuestProcess> {
    if (this.#source) return this.#source;
    const { capabilities, stateDir, moveDeadlineMs } = this.#options;
    const spec = await throwawayGuest(stateDir, {
      accelerator: capabilities.accelerator,
      machineType: newestMachine(capabilities, 'q35') ?? 'pc-q35-9.0',
      cpuModel: defaultCpuModel(capabilities),
    });
    const guest = await startGuest(spec, { ...this.#start(), incoming: false });
    this.#source = guest;
    await throwawayGate.run(guest);
    await awaitLetters(guest, 4, moveDeadlineMs);
    return guest;
  }

  #start(): Omit<Parameters<typeof startGuest>[1], 'incoming'> {
    this.#hop += 1;
    const { capabilities, stateDir, moveDeadlineMs } = this.#options;
    return {
      qemuBinary: capabilities.qemuBinary,
      stateDir: throwawayDir(stateDir),
      runName: String(this.#hop),
      epoch: 1,
      imageLocking: true,
      sandbox: capabilities.sandbox,
      vhostNet: false,
      tls: [],
      deadlineMs: moveDeadlineMs,
    };
  }

  async #writeCertificates(): Promise<string> {
    if (this.#certificates === undefined) {
      const dir = join(throwawayDir(this.#options.stateDir), 'tls');
      await writeThrowawayCertificates(dir);
      this.#certificates = dir;
    }
    return this.#certificates;
  }
}

const credentialsId = (endpoint: 'server' | 'client'): string => `tls-${endpoint}`;

async function addCredentials(guest: GuestProcess, dir: string, endpoint: 'server' | 'client'): Promise<void> {
  await guest.qmp.execute('object-add', { 'qom-type': 'tls-creds-x509', id: credentialsId(endpoint), dir, endpoint, 'verify-peer': true });
}

const isMigration = (event: QmpEvent, ...statuses: readonly string[]): boolean =>
  event.event === 'MIGRATION' && statuses.includes(String(event.data['status']));

function demand(event: QmpEvent, status: string, side: string): void {
  if (event.data['status'] !== status) throw new Error(`the ${side} reports ${String(event.data['status'])} instead of ${status}`);
}
