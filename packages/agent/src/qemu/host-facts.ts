import { readFile } from 'node:fs/promises';
import { cpus, loadavg, release, totalmem } from 'node:os';
import { newestDeviceLayout } from '@godwit/domain/guest-spec';
import type { HostFacts } from '@godwit/domain/host';
import { type Pool, poolFacts } from '../storage/pool.ts';
import type { AcceleratorChoice } from './accelerator.ts';
import { defaultCpuModel, runnableModels } from './capabilities.ts';
import { savesInPlace } from './memory-file.ts';
import type { SelfTestResult } from './self-test.ts';

/** What a host's facts are put together from; everything that was found once, at the agent's start. */
export type HostFactsInput = {
  readonly choice: AcceleratorChoice;
  readonly selfTest: readonly SelfTestResult[];
  readonly pools: readonly Pool[];
  readonly bridges: readonly string[];
  readonly vlans: boolean;
  readonly agentVersion: string;
};

/**
 * The host's facts as of now: free space and load are read at this moment. A pool that does not answer is left out, so that nothing is scheduled onto it.
 */
export async function hostFacts(input: HostFactsInput): Promise<HostFacts> {
  const { accelerator, reason, capabilities } = input.choice;
  const pools = await Promise.allSettled(input.pools.map(poolFacts));
  const [one = 0, five = 0, fifteen = 0] = loadavg();
  return {
    hypervisorType: 'QEMU',
    qemuVersion: capabilities.version,
    accelerator,
    acceleratorReason: reason,
    cpuModel: defaultCpuModel(capabilities),
    cpuFeatures: capabilities.cpuFeatures,
    cpuModels: runnableModels(capabilities),
    machineTypes: capabilities.machineTypes
      .filter((machine) => !machine.deprecated && /^pc-(q35|i440fx)-/.test(machine.name))
      .map((machine) => machine.name),
    cores: cpus().length,
    ramMib: Math.floor(totalmem() / 1_048_576),
    kernel: release(),
    bootedAtMs: await bootedAtMs(),
    load: [one, five, fifteen],
    pools: pools.flatMap((pool) => (pool.status === 'fulfilled' ? [pool.value] : [])),
    bridges: input.bridges,
    vlans: input.vlans,
    networkPolicy: true,
    deviceLayout: newestDeviceLayout,
    guestAgent: true,
    suspends: capabilities.migrationCapabilities.includes(savesInPlace),
    selfTest: input.selfTest,
    agentVersion: input.agentVersion,
  };
}

/** The kernel's boot time, UTC milliseconds (it knows seconds). */
async function bootedAtMs(): Promise<number> {
  const seconds = /^btime (\d+)$/m.exec(await readFile('/proc/stat', 'utf8'))?.[1];
  return Number(seconds ?? 0) * 1000;
}
