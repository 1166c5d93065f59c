import { readFileSync } from 'node:fs';
import { readFile } from 'node:fs/promises';
import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import { godwitVersion } from '@godwit/domain/version';
import type { LoadedConfig } from '../../load-agent-config.ts';
import { type AcceleratorChoice, chooseAccelerator } from '../../qemu/accelerator.ts';
import { defaultCpuModel, newestMachine } from '../../qemu/capabilities.ts';
import { hostFacts } from '../../qemu/host-facts.ts';
import { rememberedSelfTest } from '../../qemu/remembered-self-test.ts';
import { type SelfTestResult, selfTest, selfTestFeatures } from '../../qemu/self-test.ts';
import { openPools } from '../../storage/open-pools.ts';
import type { Pool } from '../../storage/pool.ts';
import { tellSlowStep } from '../../tell-slow-step.ts';
import type { HostDefaults } from './guest-spec-of.ts';
import type { DriverLog } from './qemu-host.ts';

export const agentVersion = godwitVersion;
const qemuBinary = 'qemu-system-x86_64';
/** A KVM guest that counts aloud needs 100 ms; one that has not after this long never will. */
const probeDeadlineMs = 10_000;
const selfTestLimits = { moveDeadlineMs: 10_000, totalDeadlineMs: 60_000 } as const;

/** What was found out about this host at the agent's start. */
export type HostProbe = {
  readonly choice: AcceleratorChoice;
  /** Those that are open at this moment. */
  readonly pools: ReadonlyMap<string, Pool>;
  readonly defaults: HostDefaults;
  facts(): Promise<HostFacts>;
};

/**
 * Asks QEMU what it can do and opens the pools; the self-test (once per boot, unless something did not work) runs on behind, and its results are in the facts once it is done (`whenTested`). A pool that cannot be used is left out, and
 * comes in when it can. Throws GodwitError GuestStartFailed when QEMU does not start at all.
 */
export async function probeHost(config: LoadedConfig, log: DriverLog): Promise<HostProbe & { readonly whenTested: Promise<void> }> {
  const opening = openPools(config.pools, log);
  const choice = await tellSlowStep(log, 'what QEMU can do', () =>
    chooseAccelerator({
      wanted: config.accelerator ?? 'auto',
      qemuBinary,
      stateDir: config.stateDir,
      deadlineMs: probeDeadlineMs,
    }),
  );
  const pools = await opening;
  const machineType = newestMachine(choice.capabilities, 'q35');
  if (machineType === undefined) throw new GodwitError('GuestStartFailed', 'this QEMU has no q35 machine');
  let tested: readonly SelfTestResult[] = [];
  const { capabilities } = choice;
  const whenTested = rememberedSelfTest({
    stateDir: config.stateDir,
    bootId: (await readFile(config.bootIdFile, 'utf8')).trim(),
    program: qemuBinary,
    holdsFor: { capabilities, agentVersion, selfTestFeatures },
    test: () => selfTest({ capabilities, stateDir: config.stateDir, ...selfTestLimits }),
  }).then(
    (results) => {
      tested = results;
      log.info({ selfTest: results.map(({ feature, works }) => `${feature}: ${works ? 'works' : 'does not work'}`) }, 'self-test done');
    },
    (error: unknown) => log.error({ err: error }, 'the self-test could not be run'),
  );
  return {
    choice,
    pools,
    defaults: { accelerator: choice.accelerator, machineType, cpuModel: defaultCpuModel(choice.capabilities) },
    facts: () =>
      hostFacts({
        choice,
        selfTest: tested,
        pools: [...pools.values()],
        bridges: [config.bridge.name],
        vlans: config.bridge.vlans === true && keepsVlans(config.bridge.name),
        agentVersion,
      }),
    whenTested,
  };
}

/** Whether the bridge keeps VLANs apart at this moment: somebody may have switched it off since the agent began. */
export function keepsVlans(bridge: string, sys = '/sys/class/net'): boolean {
  const setting = (name: string): string => {
    try {
      return readFileSync(`${sys}/${bridge}/bridge/${name}`, 'utf8').trim();
    } catch {
      return '';
    }
  };
  return setting('vlan_filtering') === '1' && setting('default_pvid') === '1';
}
