import { cpus, loadavg, release, totalmem, uptime } from 'node:os';
import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import type { BootId } from '@godwit/domain/ids';
import type { CurrentIdentity } from '../../host-agent.ts';
import type { LoadedConfig } from '../../load-agent-config.ts';
import type { HostDriver } from '../host-driver.ts';
import { HostEvents } from '../host-events.ts';

const startedAtMs = Date.now() - uptime() * 1000;

export const qemuHostFacts = (config: LoadedConfig): Promise<HostFacts> =>
  Promise.resolve({
    hypervisorType: 'QEMU',
    qemuVersion: '10.0.2',
    accelerator: 'tcg',
    acceleratorReason: 'not probed yet',
    cpuModel: cpus()[0]?.model ?? '',
    cpuFeatures: [],
    machineTypes: [],
    cores: cpus().length,
    ramMib: Math.floor(totalmem() / 1_048_576),
    kernel: release(),
    bootedAtMs: startedAtMs,
    load: loadavg() as [number, number, number],
    pools: [],
    bridges: [config.bridge.name],
    selfTest: [],
    agentVersion: '0.1.0',
  });

export async function openQemuDriver(config: LoadedConfig, identity: CurrentIdentity, bootId: BootId, _log: unknown): Promise<HostDriver> {
  const nowMs = (): number => performance.timeOrigin + performance.now() + (config.clockSkewMs ?? 0);
  const not = (): Promise<never> => Promise.reject(new GodwitError('NotImplemented', 'not here yet'));
  return {
    hostId: identity.current.hostId,
    bootId,
    events: new HostEvents(nowMs),
    nowMs,
    facts: () => qemuHostFacts(config),
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
