import { type ChildProcess, spawn } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { endOf, lastLines } from '@godwit/contract/testing/last-words';
import type { QemuRunstate } from '@godwit/domain/custody/qemu-view';
import { type MemoryStream, multifdChannels } from '@godwit/domain/memory-stream';
import { servedMonitor } from '../../qemu/monitor-socket.ts';
import { refOf } from '../../qemu/process-ref.ts';
import { connectQmp, type QmpClient } from '../../qemu/qmp-client.ts';
import type { QemuControl } from '../qemu-control.ts';
import { qmpControl } from '../qmp-control.ts';

/** A real QEMU with no network and a BIOS that finds nothing to boot; and no disk unless asked for, so that image locks, which custody must not rest on, cannot exist. */
export type TinyQemu = {
  readonly pid: number;
  /** How it sends and takes memory. */
  readonly stream: MemoryStream;
  readonly qmp: QmpClient;
  readonly control: QemuControl;
  /** Where `migrate-incoming` listens. */
  readonly address: string;
  /** Runstates and migration statuses as QEMU tells them now. */
  now(): Promise<{ readonly runstate: QemuRunstate; readonly migration: string }>;
  /** Until QEMU shows this; throws with what it showed last. */
  shows(wanted: Wanted): Promise<void>;
  /** Resolves when the process has ended. */
  readonly exited: Promise<void>;
  kill(signal?: NodeJS.Signals): void;
};

const lookEveryMs = 5;
const deadlineMs = 10_000;

/** Makes tiny QEMUs, and ends every one of them with the folder that they live in. */
export class TinyLab implements AsyncDisposable {
  readonly dir = mkdtempSync(join(tmpdir(), 'godwit-custody-'));
  readonly #children: { readonly child: ChildProcess; readonly exited: Promise<void> }[] = [];
  readonly #clients: QmpClient[] = [];
  readonly stream: MemoryStream;
  #count = 0;

  constructor(stream: MemoryStream = 'single') {
    this.stream = stream;
  }

  /** With its vCPUs stopped. `extra` are more arguments, e.g. a device that the other side lacks. */
  async start(options: { readonly incoming?: boolean; readonly extra?: readonly string[] } = {}): Promise<TinyQemu> {
    this.#count += 1;
    const name = `q${this.#count}`;
    const socket = join(this.dir, `${name}.qmp`);
    const args = [
      '-M',
      'pc',
      '-cpu',
      'qemu64',
      '-m',
      '16',
      '-nodefaults',
      '-display',
      'none',
      '-S',
      '-qmp',
      `unix:${socket},${servedMonitor}`,
    ];
    // The first one counts.
    const accelerator = options.extra?.includes('-accel') === true ? [] : ['-accel', 'tcg,tb-size=4'];
    const child = spawn(
      'qemu-system-x86_64',
      [...args, ...accelerator, ...(options.incoming ? ['-incoming', 'defer'] : []), ...(options.extra ?? [])],
      {
        stdio: ['ignore', 'ignore', 'pipe'],
      },
    );
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
    const exited = new Promise<void>((resolve) => child.once('exit', () => resolve()));
    this.#children.push({ child, exited });
    const qmp = await connectQmp(socket, { deadlineMs }).catch((cause: unknown) => {
      throw new Error(`no QMP of ${name}: ${String(cause)}; QEMU ${endOf(child)} and said: ${lastLines(words)}`, { cause });
    });
    this.#clients.push(qmp);
    const ref = child.pid === undefined ? undefined : refOf(child.pid);
    if (ref === undefined) throw new Error('QEMU did not start');
    const control = qmpControl({ ref, qmp });
    const now = async () => {
      const migration = (await qmp.execute('query-migrate')) as { status?: string };
      const status = (await qmp.execute('query-status')) as { status: QemuRunstate };
      return { runstate: status.status, migration: migration.status ?? 'none' };
    };
    return {
      pid: ref.pid,
      stream: this.stream,
      qmp,
      control,
      address: join(this.dir, `${name}.ram`),
      now,
      exited,
      shows: async (wanted) => {
        let seen = await now();
        for (const until = performance.now() + deadlineMs; !fits(seen, wanted); seen = await now()) {
          if (performance.now() > until) throw new Error(`QEMU shows ${JSON.stringify(seen)}, not ${JSON.stringify(wanted)}`);
          await pause(lookEveryMs);
        }
      },
      kill: (signal = 'SIGKILL') => void child.kill(signal),
    };
  }

  /** A guest that runs. */
  async running(extra?: readonly string[]): Promise<TinyQemu> {
    const qemu = await this.start(extra === undefined ? {} : { extra });
    await qemu.qmp.execute('cont');
    await qemu.shows({ runstate: 'running' });
    return qemu;
  }

  /** A QEMU that listens for a guest. */
  async listening(extra?: readonly string[], lateBlockActivate = false): Promise<TinyQemu> {
    const qemu = await this.start({ incoming: true, ...(extra !== undefined && { extra }) });
    await setStream(qemu, { 'late-block-activate': lateBlockActivate });
    await qemu.qmp.execute('migrate-incoming', channels(qemu.address));
    return qemu;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    for (const { child } of this.#children) {
      child.kill('SIGCONT');
      child.kill('SIGKILL');
    }
    await Promise.all([...this.#clients.map((qmp) => qmp.close()), ...this.#children.map(({ exited }) => exited)]);
    rmSync(this.dir, { recursive: true, force: true });
  }
}

/** Begins a migration; `stopAt` keeps it in that state: a trickle of bandwidth, or QEMU's own pause before the switchover. */
export async function migrate(source: TinyQemu, destination: TinyQemu, stopAt: 'active' | 'pre-switchover' | null = null): Promise<void> {
  await setStream(source, { 'pause-before-switchover': stopAt === 'pre-switchover' });
  await source.qmp.execute('migrate-set-parameters', { 'max-bandwidth': stopAt === 'active' ? 10_000 : 0 });
  await source.qmp.execute('migrate', channels(destination.address));
  if (stopAt !== null) await source.shows({ migration: stopAt });
}

/** As a move of ours sets both of its ends up for this stream (migration/stream-setup.ts). */
async function setStream({ qmp, stream }: TinyQemu, more: Readonly<Record<string, boolean>>): Promise<void> {
  await setCapabilities(qmp, { ...more, multifd: stream !== 'single' });
  if (stream !== 'single')
    await qmp.execute('migrate-set-parameters', {
      'multifd-channels': multifdChannels,
      'multifd-compression': stream === 'zstd' ? 'zstd' : 'none',
    });
}

export const channels = (path: string): Readonly<Record<string, unknown>> => ({
  channels: [{ 'channel-type': 'main', addr: { transport: 'socket', type: 'unix', path } }],
});

export const pause = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

export async function setCapabilities(qmp: QmpClient, more: Readonly<Record<string, boolean>>): Promise<void> {
  const on = { events: true, 'return-path': true, ...more };
  await qmp.execute('migrate-set-capabilities', { capabilities: Object.entries(on).map(([capability, state]) => ({ capability, state })) });
}

type Wanted = { readonly runstate?: string; readonly migration?: string | readonly string[] };

const fits = (seen: { runstate: string; migration: string }, wanted: Wanted): boolean =>
  (wanted.runstate ?? seen.runstate) === seen.runstate && [wanted.migration ?? seen.migration].flat().includes(seen.migration);

/** How a cancelled migration ends: the stream that the cancel cuts may be noticed as a failure first. */
export const afterCancel = { runstate: 'running', migration: ['cancelled', 'failed'] } as const;
