/**
 * The pure scheduling decision over 10,000 hosts on a warm snapshot: p50 and p99 per kind of demand, with the stored
 * explanation apart. Run: node bench/scheduling-decision.ts
 */
import { cpus } from 'node:os';
import { as, type HostId, type ServerGroupId, type ServerId } from '@godwit/domain/ids';
import { decide } from '@godwit/domain/scheduling/decide';
import { factsInterner } from '@godwit/domain/scheduling/facts-interner';
import { demandFixture, factsFixture, hostFixture } from '@godwit/domain/scheduling/fixtures';
import type { ServerDemand } from '@godwit/domain/scheduling/server-demand';
import { snapshotOf } from '@godwit/domain/scheduling/snapshot';
import { storedVerdicts } from '@godwit/domain/scheduling/stored-verdicts';

const hostCount = 10_000;
const decisions = 500;
const features = Array.from({ length: 120 }, (_, index) => `feature-${index}`);
const intern = factsInterner();
const racks = Array.from({ length: 5 }, (_, rack) => [{ id: rack, name: `rack${rack}`, metadata: { rack: String(rack) } }]);
const hosts = Array.from({ length: hostCount }, (_, index) =>
  hostFixture(`node${index}`, {
    zone: `az${index % 3}`,
    aggregates: racks[index % 5] ?? [],
    // As agents report: own free bytes and load per host, a few CPU models.
    facts: intern(
      factsFixture({
        cpuModel: `model-${index % 4}`,
        cpuFeatures: features.slice(0, 100 + (index % 4) * 5),
        load: [index % 7, 1, 1],
        pools: [
          { name: 'shared', poolId: `pool-${index % 2}`, kind: 'shared', totalBytes: 2 ** 40, freeBytes: 2 ** 39 - index },
          { name: 'local', poolId: `local-${index}`, kind: 'local', totalBytes: 2 ** 38, freeBytes: 2 ** 37 - index },
        ],
      }),
    ),
    usage: { vcpus: (index * 7) % 60, ramMib: (index * 613) % 65_000, diskGib: (index * 11) % 1000 },
  }),
);
const snapshot = snapshotOf(hosts);
const at = (index: number) => ({ id: as<HostId>(`id-node${index}`), name: `node${index}` });
const group = {
  id: as<ServerGroupId>('group'),
  name: 'web',
  policy: 'anti-affinity' as const,
  maxServerPerHost: null,
  members: Array.from({ length: 50 }, (_, index) => ({
    id: as<ServerId>(`member-${index}`),
    name: `web-${index}`,
    hosts: [at(index * 3)],
  })),
};
const demands: readonly (readonly [what: string, demand: ServerDemand])[] = [
  [
    'create, small',
    demandFixture({
      flavor: { name: 'small', vcpus: 1, ramMib: 64, diskGib: 1, extraSpecs: {} },
      disks: [{ kind: 'new', storage: 'any', neededBytes: 2 ** 30 }],
    }),
  ],
  [
    'live migration in an anti-affinity group',
    demandFixture({
      kind: 'live-migration',
      currentHost: at(1),
      group,
      cpuFeatures: features.slice(0, 110),
      machineType: 'pc-q35-10.0',
      runningOn: { qemuVersion: '10.0.2', accelerator: 'kvm' },
      networks: [{ name: 'lan', bridge: 'br0', vlan: null }],
      disks: [{ kind: 'shared', pool: 'shared', poolId: 'pool-1' }],
    }),
  ],
  [
    'live migration, local disks, zone, extra spec',
    demandFixture({
      kind: 'live-migration',
      currentHost: at(1),
      requestedZone: 'az1',
      cpuFeatures: features.slice(0, 110),
      disks: [{ kind: 'local', pool: 'local', neededBytes: 2 ** 33 }],
      flavor: { name: 'racked', vcpus: 4, ramMib: 8192, diskGib: 40, extraSpecs: { rack: '2' } },
    }),
  ],
  ['nothing passes', demandFixture({ flavor: { name: 'huge', vcpus: 2, ramMib: 10 ** 6, diskGib: 1, extraSpecs: {} } })],
];

const quantile = (sorted: readonly number[], q: number) =>
  (sorted[Math.min(sorted.length - 1, Math.floor(q * sorted.length))] ?? Number.NaN).toFixed(2);
console.log(`${hostCount} hosts, ${decisions} decisions each, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`);
for (const [what, demand] of demands) {
  const deciding: number[] = [];
  const storing: number[] = [];
  let passing = 0;
  for (let seed = -100; seed < decisions; seed++) {
    const start = performance.now();
    const decision = decide(snapshot, demand, { seed });
    const decided = performance.now();
    JSON.stringify(storedVerdicts(decision));
    if (seed >= 0) {
      deciding.push(decided - start);
      storing.push(performance.now() - decided);
    }
    passing = decision.passing;
  }
  deciding.sort((a, b) => a - b);
  storing.sort((a, b) => a - b);
  console.log(
    `${what}: ${passing} pass; decision p50 ${quantile(deciding, 0.5)} ms, p99 ${quantile(deciding, 0.99)} ms; stored explanation p50 ${quantile(storing, 0.5)} ms, p99 ${quantile(storing, 0.99)} ms`,
  );
}
