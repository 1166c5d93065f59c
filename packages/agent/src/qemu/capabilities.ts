import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdir, mkdtemp, rm } from 'node:fs/promises';
import { join } from 'node:path';
import { cpuModelPreference } from '@godwit/domain/cpu-model/preference';
import { GodwitError } from '@godwit/domain/errors';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import type { Accelerator } from './forbidden.ts';
import { isMonitorNote, servedMonitor } from './monitor-socket.ts';
import { refOf } from './process-ref.ts';
import { connectQmp, type QmpClient } from './qmp-client.ts';

/** What one QEMU binary can do under one accelerator, told by itself. */
export type QemuCapabilities = {
  readonly qemuBinary: string;
  /** e.g. '10.0.2' */
  readonly version: string;
  readonly package: string;
  readonly accelerator: Accelerator;
  /** Migration capabilities by name, experimental (`x-`) ones included. */
  readonly migrationCapabilities: readonly string[];
  readonly machineTypes: readonly MachineType[];
  /** CPU features that a guest can be given here, in QEMU's spelling, sorted: those of the model `max`. */
  readonly cpuFeatures: readonly string[];
  readonly cpuModels: readonly CpuModel[];
  /** Whether QEMU was built with its seccomp filter. */
  readonly sandbox: boolean;
};

export type MachineType = { readonly name: string; readonly alias?: string; readonly deprecated: boolean; readonly maxCpus: number };

export type CpuModel = {
  readonly name: string;
  /** Features that this host cannot give it; empty: it runs here. */
  readonly unavailable: readonly string[];
  /** Means the same on every host and QEMU version. */
  readonly migrationSafe: boolean;
  readonly deprecated: boolean;
};

/**
 * Asks a QEMU without a machine (no guest, no memory: about 70 ms). The process is gone when this returns or throws.
 * Throws GodwitError GuestStartFailed with QEMU's words when it does not start within the deadline.
 */
export async function probeCapabilities(
  qemuBinary: string,
  accelerator: Accelerator,
  workDir: string,
  deadlineMs: number,
): Promise<QemuCapabilities> {
  return withMachineless(qemuBinary, accelerator, workDir, deadlineMs, async (qmp) => {
    const ask = async <T>(command: string, args?: Record<string, unknown>): Promise<T> =>
      (await qmp.execute(command, args, { timeoutMs: deadlineMs })) as T;
    const version = await ask<{ package: string }>('query-version');
    const machines = await ask<readonly { name: string; alias?: string; deprecated: boolean; 'cpu-max': number }[]>('query-machines');
    const capabilities = await ask<readonly { capability: string }[]>('query-migrate-capabilities');
    const models =
      await ask<readonly { name: string; 'unavailable-features'?: readonly string[]; 'migration-safe'?: boolean; deprecated: boolean }[]>(
        'query-cpu-definitions',
      );
    const options = await ask<readonly { option: string }[]>('query-command-line-options');
    return {
      qemuBinary,
      version: qmp.qemuVersion,
      package: version.package,
      accelerator,
      migrationCapabilities: capabilities.map((one) => one.capability),
      machineTypes: machines.map((one) => ({
        name: one.name,
        ...(one.alias !== undefined && { alias: one.alias }),
        deprecated: one.deprecated,
        maxCpus: one['cpu-max'],
      })),
      cpuFeatures: await featuresOf(qmp, 'max', deadlineMs),
      cpuModels: models.map((one) => ({
        name: one.name,
        unavailable: one['unavailable-features'] ?? [],
        migrationSafe: one['migration-safe'] ?? false,
        deprecated: one.deprecated,
      })),
      sandbox: options.some((one) => one.option === 'sandbox'),
    };
  });
}

/**
 * Features that a guest with this `-cpu` model (feature changes included, e.g. `Nehalem-v1,+aes`) sees, in QEMU's spelling, sorted: what a destination must have,
 * since x86 QEMU offers no comparison of its own. Throws GodwitError BadRequest when QEMU does not know the model.
 */
export async function expandCpuModel(
  capabilities: QemuCapabilities,
  cpuModel: string,
  workDir: string,
  deadlineMs: number,
): Promise<readonly string[]> {
  return withMachineless(capabilities.qemuBinary, capabilities.accelerator, workDir, deadlineMs, (qmp) =>
    featuresOf(qmp, cpuModel, deadlineMs),
  );
}

/** The newest version of a machine family as this QEMU names it: `pc-q35-10.0`, never the alias `q35`. */
export function newestMachine(capabilities: Pick<QemuCapabilities, 'machineTypes'>, alias: 'q35' | 'pc'): string | undefined {
  return capabilities.machineTypes.find((one) => one.alias === alias)?.name;
}

/** Models of the preference that run here without a missing feature and mean the same everywhere; under TCG at most Nehalem (x86-64-v2), all of which TCG has. */
export function runnableModels({ cpuModels, accelerator }: Pick<QemuCapabilities, 'cpuModels' | 'accelerator'>): readonly string[] {
  const most = accelerator === 'tcg' ? cpuModelPreference.indexOf('Nehalem-v1') : 0;
  const runs = new Set(cpuModels.filter((model) => model.migrationSafe && model.unavailable.length === 0).map((model) => model.name));
  return cpuModelPreference.slice(most).filter((name) => runs.has(name));
}

/** The model for guests that name none, as long as no cluster has chosen one: the richest that runs here. */
export function defaultCpuModel(capabilities: Pick<QemuCapabilities, 'cpuModels' | 'accelerator'>): string {
  return runnableModels(capabilities)[0] ?? 'qemu64-v1';
}

async function featuresOf(qmp: QmpClient, cpuModel: string, timeoutMs: number): Promise<readonly string[]> {
  const [name = '', ...changes] = cpuModel.split(',');
  const props = Object.fromEntries(
    changes.map((change): [string, unknown] => {
      if (change.startsWith('+')) return [change.slice(1), true];
      if (change.startsWith('-')) return [change.slice(1), false];
      const [key = '', value = ''] = change.split('=');
      return [key, value === 'on' ? true : value === 'off' ? false : value];
    }),
  );
  try {
    // "static": relative to an empty CPU, so it holds features only, without QEMU's own knobs and spelled one way.
    const answer = (await qmp.execute('query-cpu-model-expansion', { type: 'static', model: { name, props } }, { timeoutMs })) as {
      model: { props: Record<string, unknown> };
    };
    return Object.entries(answer.model.props)
      .filter(([, value]) => value === true)
      .map(([feature]) => feature)
      .sort();
  } catch (error) {
    throw new GodwitError('BadRequest', `QEMU does not know the CPU model ${cpuModel}: ${(error as Error).message}`, {}, { cause: error });
  }
}

async function withMachineless<T>(
  qemuBinary: string,
  accelerator: Accelerator,
  workDir: string,
  deadlineMs: number,
  use: (qmp: QmpClient) => Promise<T>,
): Promise<T> {
  await mkdir(workDir, { recursive: true, mode: 0o700 });
  const dir = await mkdtemp(join(workDir, 'm-'));
  const socket = join(dir, 'qmp.sock');
  const child = spawn(
    qemuBinary,
    [
      '-machine',
      'none',
      '-accel',
      accelerator,
      '-nodefaults',
      '-no-user-config',
      '-display',
      'none',
      '-S',
      '-qmp',
      `unix:${socket.replaceAll(',', ',,')},${servedMonitor}`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'], env: { PATH: process.env['PATH'], LC_ALL: 'C' } },
  );
  const stderr: Buffer[] = [];
  child.stderr.on('data', (chunk: Buffer) => stderr.push(chunk));
  const died = new AbortController();
  const exited = once(child, 'exit').then(
    () => died.abort(),
    (error: Error) => {
      stderr.push(Buffer.from(error.message));
      died.abort();
    },
  );
  const ref = child.pid === undefined ? undefined : refOf(child.pid);
  try {
    const qmp = await connectQmp(socket, { deadlineMs, signal: died.signal }).catch((error: unknown) => {
      const said = Buffer.concat(stderr)
        .toString('utf8')
        .split('\n')
        .filter((line) => !isMonitorNote(line))
        .join('\n')
        .trim();
      throw new GodwitError(
        'GuestStartFailed',
        `${qemuBinary} does not start under ${accelerator}: ${said === '' ? (error as Error).message : said}`,
        {},
        { cause: error },
      );
    });
    try {
      return await use(qmp);
    } finally {
      await qmp.close();
    }
  } finally {
    if (ref) throwawayGate.discardMachineless(ref);
    await exited;
    await rm(dir, { recursive: true, force: true });
  }
}
