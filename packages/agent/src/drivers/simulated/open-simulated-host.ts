import type { AgentConfig } from '@godwit/contract/config/agent-config';
import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import type { BootId } from '@godwit/domain/ids';
import type { CurrentIdentity } from '../../host-agent.ts';
import type { HostDriver } from '../host-driver.ts';
import { HostEvents } from '../host-events.ts';

export type SimulatedHost = NonNullable<AgentConfig['simulatedHosts']>[number];

const startedAtMs = Date.now();

/** What a simulated host says of itself. */
export const simulatedFacts = (host: SimulatedHost): HostFacts => ({
  hypervisorType: host.hypervisorType,
  qemuVersion: '10.0.2',
  accelerator: host.hypervisorType === 'ironic' ? 'none' : 'simulated',
  acceleratorReason: 'simulated host',
  cpuModel: 'simulated',
  cpuFeatures: [],
  machineTypes: host.hypervisorType === 'ironic' ? [] : ['pc-q35-10.0'],
  cores: host.cores,
  ramMib: host.ramMib,
  kernel: 'simulated',
  bootedAtMs: startedAtMs,
  load: [0, 0, 0],
  pools: [
    {
      name: 'local',
      poolId: `simulated-${host.name}`,
      kind: 'local',
      totalBytes: host.diskGib * 1_073_741_824,
      freeBytes: host.diskGib * 1_073_741_824,
    },
  ],
  bridges: [],
  selfTest: [],
  agentVersion: '0.1.0',
});

export async function openSimulatedHost(options: {
  readonly host: SimulatedHost;
  readonly stateDir: string;
  readonly identity: CurrentIdentity;
  readonly bootId: BootId;
  readonly log: unknown;
}): Promise<HostDriver> {
  const nowMs = (): number => performance.timeOrigin + performance.now();
  const not = (): Promise<never> => Promise.reject(new GodwitError('NotImplemented', 'not here yet'));
  return {
    hostId: options.identity.current.hostId,
    bootId: options.bootId,
    events: new HostEvents(nowMs),
    nowMs,
    facts: () => Promise.resolve(simulatedFacts(options.host)),
    guests: () => Promise.resolve([]),
    migrations: () => [],
    startGuest: not,
    stopGuest: not,
    pauseGuest: not,
    unpauseGuest: not,
    rebootGuest: not,
    destroyGuest: not,
    supersede: not,
    readConsole: not,
    prepareIncoming: not,
    startOutgoing: not,
    setMigrationPolicy: not,
    cancelOutgoing: not,
    resumeOutgoing: not,
    forfeitIncoming: not,
    relayRelease: not,
    finishIncoming: not,
    dropOutgoing: not,
    release: not,
    setNetworkOpen: not,
    close: () => Promise.resolve(),
  };
}
