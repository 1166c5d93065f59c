/**
 * The pure plan that empties 50 of 1,000 hosts with 20,000 servers: once where there is room, once where the cloud is so full that moving one after the other gets stuck. Goal: 5 s at most.
 * Run: node bench/drain-plan.ts
 */
import { cpus } from 'node:os';
import { planDrain } from '@godwit/domain/drain-plan/plan-drain';
import type { PlannedServer } from '@godwit/domain/drain-plan/planned-server';
import { as, type HostId, type ServerGroupId, type ServerId } from '@godwit/domain/ids';
import { factsInterner } from '@godwit/domain/scheduling/facts-interner';
import { demandFixture, factsFixture, hostFixture } from '@godwit/domain/scheduling/fixtures';
import type { DemandedGroup } from '@godwit/domain/scheduling/server-demand';
import { snapshotOf } from '@godwit/domain/scheduling/snapshot';

const [hostCount, perHost, emptied] = [1_000, 20, 50];
const features = Array.from({ length: 120 }, (_, index) => `feature-${index}`);
const place = (host: number) => ({ id: as<HostId>(`id-node${host}`), name: `node${host}` });
const sizes = [1_024, 2_048, 2_048, 4_096, 8_192];
const ramOf = (host: number, index: number): number => sizes[(host * 7 + index * 3) % sizes.length] as number; // within the array by the modulus

/** Every tenth server is one of a group of four that keeps apart. */
function groupOf(host: number, index: number): DemandedGroup | null {
  if (index % 10 !== 0) return null;
  const first = host - (host % 4);
  return {
    id: as<ServerGroupId>(`group-${first}-${index}`),
    name: `group-${first}-${index}`,
    policy: 'anti-affinity',
    maxServerPerHost: null,
    members: [0, 1, 2, 3]
      .map((offset) => first + offset)
      .filter((other) => other !== host)
      .map((other) => ({ id: as<ServerId>(`s-${other}-${index}`), name: `s-${other}-${index}`, hosts: [place(other)] })),
  };
}

function cloud(ramMib: number) {
  const intern = factsInterner();
  const hosts = Array.from({ length: hostCount }, (_, host) => {
    const used = Array.from({ length: perHost }, (_unused, index) => ramOf(host, index)).reduce((sum, one) => sum + one, 0);
    return hostFixture(`node${host}`, {
      enabled: host >= emptied,
      disabledReason: host >= emptied ? null : 'maintenance',
      facts: intern(
        factsFixture({
          ramMib: Math.max(used, ramMib),
          cores: 32,
          cpuModel: `model-${host % 4}`,
          cpuFeatures: features.slice(0, 100 + (host % 4) * 5),
        }),
      ),
      usage: { vcpus: perHost, ramMib: used, diskGib: 0 },
    });
  });
  const servers = Array.from({ length: emptied }, (_, host) =>
    Array.from({ length: perHost }, (_unused, index): PlannedServer => {
      const name = `s-${host}-${index}`;
      const demand = demandFixture({
        kind: 'live-migration',
        server: { id: as<ServerId>(name), name },
        flavor: { name: 'f', vcpus: 1, ramMib: ramOf(host, index), diskGib: 0, extraSpecs: {} },
        disks: [{ kind: 'shared', pool: 'shared', poolId: 'pool-1' }],
        group: groupOf(host, index),
        cpuFeatures: features.slice(0, 100),
        machineType: 'pc-q35-10.0',
        runningOn: { qemuVersion: '10.0.2', accelerator: 'kvm' },
        networks: [{ name: 'lan', bridge: 'br0', vlan: null }],
      });
      return { demand: { ...demand, currentHost: place(host) }, method: 'live', bytes: ramOf(host, index) * 2 ** 20 };
    }),
  ).flat();
  return { snapshot: snapshotOf(hosts), servers };
}

console.log(
  `${hostCount} hosts, ${hostCount * perHost} servers, ${emptied} hosts emptied, Node ${process.version}, ${cpus().length} × ${cpus()[0]?.model}`,
);
for (const [what, ramMib] of [
  ['half empty', 131_072],
  ['nearly full', 72_704],
  ['too full', 70_656],
] as const) {
  const { snapshot, servers } = cloud(ramMib);
  const times: number[] = [];
  let plan: ReturnType<typeof planDrain> | null = null;
  for (let run = 0; run < 3; run++) {
    const start = performance.now();
    plan = planDrain(snapshot, servers, {
      seed: run,
      others: [],
      links: { parallel: 20, outgoingPerHost: 1, incomingPerHost: 1, bytesPerSecond: () => 1.25e9, fixedMs: 1_500 },
    });
    times.push(performance.now() - start);
  }
  const sorted = times.toSorted((a, b) => a - b);
  console.log(
    `${what}: ${plan?.moves.length} of ${servers.length} moves in ${plan?.waves} waves, ${plan?.outcome}; ${sorted.map((ms) => (ms / 1000).toFixed(2)).join(' – ')} s; expected to last ${Math.round((plan?.durationMs ?? 0) / 1000)} s`,
  );
}
