import type { HostFacts } from '../host.ts';
import { as, type HostId, type ServerId } from '../ids.ts';
import { defaultRatios, type HostState } from './host-state.ts';
import type { ServerDemand } from './server-demand.ts';

/** Hosts and demands for tests and benchmarks: a host that takes the server unless a field is overridden. */
export const factsFixture = (over: Partial<HostFacts> = {}): HostFacts => ({
  hypervisorType: 'QEMU',
  qemuVersion: '10.0.2',
  accelerator: 'kvm',
  acceleratorReason: '',
  cpuModel: 'EPYC',
  cpuFeatures: ['sse4.2', 'avx', 'avx2'],
  machineTypes: ['pc-q35-10.0', 'pc-q35-9.2'],
  cores: 16,
  ramMib: 65_536,
  kernel: '6.1',
  bootedAtMs: 0,
  load: [0, 0, 0],
  pools: [
    { name: 'shared', poolId: 'pool-1', kind: 'shared', totalBytes: 2 ** 40, freeBytes: 2 ** 39 },
    { name: 'local', poolId: 'local-of-host', kind: 'local', totalBytes: 2 ** 38, freeBytes: 2 ** 37 },
  ],
  bridges: ['br0'],
  selfTest: [],
  suspends: true,
  deviceLayout: 2,
  agentVersion: '0.1.0',
  ...over,
});

export const hostFixture = (name: string, over: Partial<HostState> = {}): HostState => ({
  id: as<HostId>(`id-${name}`),
  name,
  zone: 'az1',
  aggregates: [],
  facts: factsFixture(),
  enabled: true,
  disabledReason: null,
  forcedDown: false,
  reachable: true,
  usage: { vcpus: 0, ramMib: 0, diskGib: 0 },
  ratios: defaultRatios,
  incomingMigrations: 0,
  ...over,
});

export const demandFixture = (over: Partial<ServerDemand> = {}): ServerDemand => ({
  kind: 'create',
  server: { id: as<ServerId>('server-1'), name: 'web-1' },
  flavor: { name: 'demo.small', vcpus: 2, ramMib: 2048, diskGib: 10, extraSpecs: {} },
  hypervisorType: 'QEMU',
  disks: [],
  copiesLocalDisks: true,
  networks: [],
  group: null,
  hints: { sameHost: [], differentHost: [] },
  requestedZone: null,
  requestedHost: null,
  currentHost: null,
  excludedHosts: [],
  machineType: null,
  deviceLayout: null,
  portPlaces: [],
  cpuFeatures: null,
  runningOn: null,
  ...over,
});
