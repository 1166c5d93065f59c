import { describe, expect, it } from 'vitest';
import { as, type HostId, type ServerGroupId, type ServerId } from '../ids.ts';
import { decide } from './decide.ts';
import { explainDecision } from './explain.ts';
import { filters } from './filters.ts';
import { demandFixture, factsFixture, hostFixture } from './fixtures.ts';
import type { HostState } from './host-state.ts';
import { filterNames } from './rejection-codes.ts';
import type { DemandedGroup, ServerDemand } from './server-demand.ts';
import { snapshotOf } from './snapshot.ts';

/** `code: sentence → smallest change` of every reason of the one host. */
function reasons(demand: Partial<ServerDemand>, host: Partial<HostState> = {}): string[] {
  const [explained] = explainDecision(decide(snapshotOf([hostFixture('node1', host)]), demandFixture(demand), { seed: 1 }));
  return (explained?.reasons ?? []).map((reason) => `${reason.code}: ${reason.sentence} → ${reason.smallestChange}`);
}
const at = (name: string) => ({ id: as<HostId>(`id-${name}`), name });
const server = (name: string, ...hosts: string[]) => ({ id: as<ServerId>(name), name, hosts: hosts.map(at) });
const group = (
  policy: DemandedGroup['policy'],
  members: DemandedGroup['members'],
  maxServerPerHost: number | null = null,
): DemandedGroup => ({ id: as<ServerGroupId>('g'), name: 'web', policy, maxServerPerHost, members });

/** Of an agent that tells of no device layout. */
const { deviceLayout: _layout, ...silent } = factsFixture();

describe('filters', () => {
  it('stand in the index in the order of their names', () => {
    expect(filters.map((filter) => filter.name)).toEqual([...filterNames]);
  });
  it('pass the plain host', () => expect(reasons({})).toEqual([]));

  const cases: [what: string, demand: Partial<ServerDemand>, host: Partial<HostState>, expected: string[]][] = [
    ['current host', { kind: 'live-migration', currentHost: at('node1') }, {}, ['CurrentHost: the server is on this host → null']],
    [
      'failed before',
      { excludedHosts: [{ id: as<HostId>('id-node1'), reason: 'no space' }] },
      {},
      ['FailedBefore: failed before in this operation: no space → start a new operation once the cause is mended'],
    ],
    [
      'disabled with reason',
      {},
      { enabled: false, disabledReason: 'kernel update' },
      ['Disabled: disabled: kernel update → enable its compute service'],
    ],
    ['disabled', {}, { enabled: false }, ['Disabled: disabled → enable its compute service']],
    ['unreachable', {}, { reachable: false, enabled: false }, ['Unreachable: down: its agent does not answer → bring its agent back']],
    [
      'fenced',
      {},
      { fenced: true, reachable: false },
      ['Fenced: fenced by an operator → let it come back and be compared with the database'],
    ],
    ['forced down', {}, { forcedDown: true }, ['ForcedDown: down: forced down by an operator → unset forced-down on its compute service']],
    [
      'bare metal as a target',
      { kind: 'migration', hypervisorType: 'ironic' },
      { facts: factsFixture({ hypervisorType: 'ironic' }) },
      ['BareMetalTarget: bare metal: nothing is moved to it → null'],
    ],
    [
      'bare metal for a guest',
      {},
      { facts: factsFixture({ hypervisorType: 'ironic' }) },
      ['HypervisorType: needs hypervisor type QEMU, this is ironic → null'],
    ],
    ['guest host for bare metal', { hypervisorType: 'ironic' }, {}, ['HypervisorType: needs hypervisor type ironic, this is QEMU → null']],
    ['bare metal for bare metal', { hypervisorType: 'ironic' }, { facts: factsFixture({ hypervisorType: 'ironic' }) }, []],
    [
      'another host named',
      { requestedHost: at('node2') },
      {},
      ['NotRequestedHost: the request names node2 → ask for this host, or for none'],
    ],
    [
      'zone of a move',
      { kind: 'migration', requestedZone: 'az2' },
      {},
      ['Zone: zone: the server was created in zone az2 and stays in it, this host is in az1 → add the host to an aggregate of zone az2'],
    ],
    [
      'zone of a create',
      { requestedZone: 'az2' },
      {},
      ['Zone: zone: the request asks for zone az2, this host is in az1 → add the host to an aggregate of zone az2'],
    ],
    ['no zone asked: may cross', { kind: 'migration', requestedZone: null }, { zone: 'az9' }, []],
    [
      'aggregate metadata absent',
      { flavor: { ...demandFixture().flavor, extraSpecs: { ssd: 'true' } } },
      {},
      [
        "AggregateMetadata: flavor demo.small needs ssd=true, none of the host's aggregates has it → add the host to an aggregate with ssd=true",
      ],
    ],
    [
      'aggregate metadata differs',
      { flavor: { ...demandFixture().flavor, extraSpecs: { 'aggregate_instance_extra_specs:ssd': 'true' } } },
      { aggregates: [{ id: 1, name: 'a', metadata: { ssd: 'false' } }] },
      [
        "AggregateMetadata: flavor demo.small needs ssd=true, the host's aggregates have ssd=false → add the host to an aggregate with ssd=true",
      ],
    ],
    [
      'aggregate metadata met',
      { flavor: { ...demandFixture().flavor, extraSpecs: { ssd: '<or> true <or> yes' } } },
      { aggregates: [{ id: 1, name: 'a', metadata: { ssd: 'yes' } }] },
      [],
    ],
    [
      'extra specs in other scopes',
      { flavor: { ...demandFixture().flavor, extraSpecs: { 'hw:cpu_policy': 'dedicated', 'godwit:storage': 'local' } } },
      {},
      [],
    ],
    [
      'same_host',
      { hints: { sameHost: [server('db', 'node2')], differentHost: [] } },
      {},
      ['NotSameHost: same_host: none of db runs here → move one of db here'],
    ],
    [
      'different_host',
      { hints: { sameHost: [], differentHost: [server('db', 'node1')] } },
      {},
      ['NotDifferentHost: different_host: server db runs here → move db away from here'],
    ],
    [
      'anti-affinity',
      { group: group('anti-affinity', [server('web-2', 'node1')]) },
      {},
      [
        'AntiAffinity: anti-affinity: server web-2 of group web runs here → move web-2 away from here, or remove the server from group web, move it, add it again',
      ],
    ],
    [
      'anti-affinity, a member moving here',
      { group: group('anti-affinity', [server('web-2', 'node2', 'node1')]) },
      {},
      [
        'AntiAffinity: anti-affinity: server web-2 of group web runs here → move web-2 away from here, or remove the server from group web, move it, add it again',
      ],
    ],
    ['anti-affinity with room for two', { group: group('anti-affinity', [server('web-2', 'node1')], 2) }, {}, []],
    [
      'anti-affinity with two there',
      { group: group('anti-affinity', [server('web-3', 'node1'), server('web-2', 'node1')], 2) },
      {},
      [
        'AntiAffinity: anti-affinity: servers web-2, web-3 of group web run here, 2 per host at most → move web-2 away from here, or remove the server from group web, move it, add it again',
      ],
    ],
    [
      'affinity elsewhere',
      { group: group('affinity', [server('web-2', 'node2')]) },
      {},
      ['Affinity: affinity: server web-2 of group web runs on node2 → remove the server from group web, move it, add it again'],
    ],
    [
      'affinity, a member moving away',
      { group: group('affinity', [server('web-2', 'node1', 'node2')]) },
      {},
      ['Affinity: affinity: server web-2 of group web runs on node1, node2 → remove the server from group web, move it, add it again'],
    ],
    ['affinity here', { group: group('affinity', [server('web-2', 'node1'), server('new')]) }, {}, []],
    ['affinity, nobody placed', { group: group('affinity', [server('new')]) }, {}, []],
    ['soft rules reject nothing', { group: group('soft-anti-affinity', [server('web-2', 'node1')]) }, {}, []],
    [
      'machine type',
      { machineType: 'pc-q35-10.1' },
      {},
      ['MachineType: needs machine type pc-q35-10.1, QEMU 10.0.2 here does not have it → install a QEMU that has this machine type'],
    ],
    [
      'older QEMU',
      { runningOn: { qemuVersion: '10.1.0', accelerator: 'kvm' } },
      {},
      ['QemuVersion: the guest runs in QEMU 10.1.0, this host has the older 10.0.2 → install QEMU 10.1 or newer here'],
    ],
    ['newer QEMU', { runningOn: { qemuVersion: '9.2.4', accelerator: 'kvm' } }, {}, []],
    [
      'other accelerator',
      { runningOn: { qemuVersion: '10.0.2', accelerator: 'tcg' } },
      {},
      ['Accelerator: the guest runs under tcg, this host has kvm → migrate it cold'],
    ],
    [
      'device layout newer than the agent',
      { deviceLayout: 2 },
      { facts: factsFixture({ deviceLayout: 1, agentVersion: '0.1.0' }) },
      ["DeviceLayout: the server's machine has device layout 2, agent 0.1.0 here builds up to 1 → update the agent of this host"],
    ],
    [
      'device layout of an agent that tells of none',
      { deviceLayout: 2, portPlaces: [0, 2] },
      { facts: silent },
      ["DeviceLayout: the server's machine has device layout 2, agent 0.1.0 here builds up to 1 → update the agent of this host"],
    ],
    [
      'a channel for the guest agent, which an older agent does not build',
      { deviceLayout: 1, guestAgent: true },
      { facts: factsFixture({ agentVersion: '0.1.0' }) },
      [
        "GuestAgentChannel: the server's machine has a channel for the QEMU guest agent, agent 0.1.0 here builds none → update the agent of this host",
      ],
    ],
    ['a channel for the guest agent that the agent builds', { guestAgent: true }, { facts: factsFixture({ guestAgent: true }) }, []],
    ['device layout that the agent builds', { deviceLayout: 2, portPlaces: [0, 2] }, {}, []],
    ['the first device layout, whatever the agent tells', { deviceLayout: 1, portPlaces: [0, 1] }, { facts: silent }, []],
    ['not started yet', { deviceLayout: null, portPlaces: [0] }, { facts: silent }, []],
    [
      'cards in places that the agent does not know',
      { deviceLayout: 1, portPlaces: [0, 2] },
      { facts: silent },
      [
        "DevicePlaces: the server's network cards are in places 0, 2, agent 0.1.0 here builds them one after the other → update the agent of this host",
      ],
    ],
    ['simulated hosts build nothing', { deviceLayout: 2, portPlaces: [1] }, { facts: { ...silent, accelerator: 'simulated' } }, []],
    [
      'CPU features',
      { cpuFeatures: ['avx', 'avx512f', 'amx'] },
      {},
      [
        'CpuFeatures: CPU EPYC lacks avx512f, amx, which the guest has been shown → restart the server with a CPU model that both hosts have, or migrate it cold',
      ],
    ],
    [
      'many CPU features',
      { cpuFeatures: ['a', 'b', 'c', 'd', 'e', 'f', 'g', 'h', 'i'] },
      {},
      [
        'CpuFeatures: CPU EPYC lacks a, b, c, d, e, f and 3 more, which the guest has been shown → restart the server with a CPU model that both hosts have, or migrate it cold',
      ],
    ],
    [
      'CPU model that does not run here, whatever features it has',
      { cpuFeatures: ['avx'], cpuModel: 'EPYC-Genoa-v1' },
      { facts: factsFixture({ cpuModels: ['EPYC-Rome-v2', 'Nehalem-v1'] }) },
      [
        'CpuFeatures: CPU EPYC lacks model EPYC-Genoa-v1, which the guest has been shown → restart the server with a CPU model that both hosts have, or migrate it cold',
      ],
    ],
    [
      'CPU model that runs here, although the source has features that this host lacks',
      { cpuFeatures: ['avx', 'amx'], cpuModel: 'Nehalem-v1' },
      { facts: factsFixture({ cpuModels: ['EPYC-Rome-v2', 'Nehalem-v1'] }) },
      [],
    ],
    [
      'network',
      {
        networks: [
          { name: 'lan', bridge: 'br7', vlan: null },
          { name: 'any', bridge: null, vlan: null },
        ],
      },
      {},
      ['NetworkUnreachable: network lan needs bridge br7, which is not here → make bridge br7 on this host'],
    ],
    [
      'VLAN',
      { networks: [{ name: 'blue', bridge: 'br0', vlan: 101 }] },
      {},
      [
        'NetworkUnreachable: network blue is VLAN 101, and the guest bridge here carries no VLANs → set bridge.vlans in the configuration of its agent',
      ],
    ],
    [
      'VLAN of a bridge that is not there either',
      { networks: [{ name: 'blue', bridge: 'br7', vlan: 101 }] },
      {},
      ['NetworkUnreachable: network blue needs bridge br7, which is not here → make bridge br7 on this host'],
    ],
    ['VLAN there', { networks: [{ name: 'blue', bridge: null, vlan: 101 }] }, { facts: factsFixture({ vlans: true }) }, []],
    [
      'shared pool',
      { disks: [{ kind: 'shared', pool: 'nfs', poolId: 'pool-2' }] },
      {},
      ['SharedPoolMissing: the disk is in shared pool nfs, which is not mounted here → mount pool nfs on this host'],
    ],
    ['shared pool there', { disks: [{ kind: 'shared', pool: 'shared', poolId: 'pool-1' }] }, {}, []],
    [
      'shared pool there by another name, by which no agent would find it',
      { disks: [{ kind: 'shared', pool: 'nfs', poolId: 'pool-1' }] },
      {},
      ['SharedPoolMissing: the disk is in shared pool nfs, which is not mounted here → mount pool nfs on this host'],
    ],
    [
      'shared pool unknown',
      { disks: [{ kind: 'shared', pool: 'nfs', poolId: null }] },
      {},
      ['SharedPoolMissing: the disk is in shared pool nfs, which is not mounted here → mount pool nfs on this host'],
    ],
    [
      'local disk, no block migration',
      { disks: [{ kind: 'local', pool: 'local', neededBytes: 1 }], copiesLocalDisks: false },
      {},
      ['LocalDisk: the disk is in the local pool local of its host and block migration is off → ask for block migration'],
    ],
    [
      'local disks that fit one by one only',
      {
        disks: [
          { kind: 'local', pool: 'local', neededBytes: 2 ** 36 },
          { kind: 'local', pool: 'local', neededBytes: 2 ** 36 + 1 },
        ],
      },
      {},
      ['PoolFull: needs 64.1 GB in pool local, 64 GB free → free 0.1 GB in pool local'],
    ],
    [
      'no local pool',
      { disks: [{ kind: 'new', storage: 'local', neededBytes: 1 }] },
      { facts: factsFixture({ pools: [] }) },
      [
        'PoolMissing: needs a local pool, there is none here → make a local pool on this host',
        'InsufficientDisk: needs 10 GB of disk, 0 GB unclaimed → free 10 GB of disk claims here',
      ],
    ],
    [
      'memory',
      {},
      { usage: { vcpus: 0, ramMib: 64_000, diskGib: 0 } },
      ['InsufficientRam: needs 2048 MB, 1536 MB free → free 512 MB of memory here'],
    ],
    ['memory over-commit', {}, { usage: { vcpus: 0, ramMib: 64_000, diskGib: 0 }, ratios: { vcpus: 4, ramMib: 1.5, diskGib: 1 } }, []],
    ['vCPUs', {}, { usage: { vcpus: 63, ramMib: 0, diskGib: 0 } }, ['InsufficientVcpus: needs 2 vCPUs, 1 free → free 1 vCPUs here']],
    [
      'vCPUs beyond cores',
      { flavor: { ...demandFixture().flavor, vcpus: 17 } },
      {},
      ['TooManyVcpus: needs 17 vCPUs, the host has 16 cores → use a smaller flavor'],
    ],
    [
      'disk',
      {},
      { usage: { vcpus: 0, ramMib: 0, diskGib: 1275 } },
      ['InsufficientDisk: needs 10 GB of disk, 5 GB unclaimed → free 5 GB of disk claims here'],
    ],
    [
      'several at once',
      { requestedZone: 'az2' },
      { enabled: false, usage: { vcpus: 0, ramMib: 65_536, diskGib: 0 } },
      [
        'Disabled: disabled → enable its compute service',
        'Zone: zone: the request asks for zone az2, this host is in az1 → add the host to an aggregate of zone az2',
        'InsufficientRam: needs 2048 MB, 0 MB free → free 2048 MB of memory here',
      ],
    ],
  ];
  it.each(cases)('%s', (_what, demand, host, expected) => expect(reasons(demand, host)).toEqual(expected));
});
