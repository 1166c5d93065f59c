import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { as, type HostId, type ServerGroupId, type ServerId } from '../ids.ts';
import { decide } from './decide.ts';
import { explainDecision, explainRejection } from './explain.ts';
import { filters } from './filters.ts';
import { demandFixture, factsFixture, hostFixture } from './fixtures.ts';
import type { HostState } from './host-state.ts';
import { noValidHostDetails, noValidHostMessage } from './no-valid-host.ts';
import type { DemandedGroup, ServerDemand } from './server-demand.ts';
import { snapshotOf } from './snapshot.ts';
import { storedVerdicts } from './stored-verdicts.ts';

const facts = [
  factsFixture(),
  factsFixture({ ramMib: 4096, cores: 4 }),
  factsFixture({ qemuVersion: '9.2.0', machineTypes: ['pc-q35-9.2'], cpuFeatures: ['avx'] }),
  factsFixture({ pools: [] }),
  factsFixture({ hypervisorType: 'ironic' }),
];
const hostId = (index: number) => as<HostId>(`id-node${index}`);

const anyHost = (index: number): fc.Arbitrary<HostState> =>
  fc
    .record({
      zone: fc.constantFrom('az1', 'az2'),
      facts: fc.constantFrom(...facts),
      enabled: fc.boolean(),
      forcedDown: fc.boolean(),
      reachable: fc.constantFrom(true, true, true, false),
      usage: fc.record({ vcpus: fc.nat(64), ramMib: fc.nat(65_536), diskGib: fc.nat(1300) }),
      incomingMigrations: fc.nat(3),
      aggregates: fc.constantFrom([], [{ id: 1, name: 'ssd', metadata: { ssd: 'true' } }]),
      disabledReason: fc.constantFrom(null, 'kernel update'),
    })
    .map((over) => hostFixture(`node${index}`, over));
const hosts = fc.integer({ min: 0, max: 12 }).chain((count) => fc.tuple(...Array.from({ length: count }, (_, index) => anyHost(index))));

const ref = fc.nat(11).map((index) => ({ id: hostId(index), name: `node${index}` }));
const member = fc.record({
  id: fc.uuid().map((id) => as<ServerId>(id)),
  name: fc.constantFrom('web-2', 'web-3'),
  hosts: fc.array(ref, { maxLength: 2 }),
});
const group: fc.Arbitrary<DemandedGroup> = fc.record({
  id: fc.constant(as<ServerGroupId>('g')),
  name: fc.constant('web'),
  policy: fc.constantFrom('affinity', 'anti-affinity', 'soft-affinity', 'soft-anti-affinity'),
  maxServerPerHost: fc.constantFrom(null, 1, 2),
  members: fc.array(member, { maxLength: 6 }),
});
const demands: fc.Arbitrary<ServerDemand> = fc
  .record({
    kind: fc.constantFrom('create', 'live-migration', 'migration', 'resize', 'evacuation'),
    currentHost: fc.option(ref),
    group: fc.option(group),
    requestedHost: fc.option(ref, { freq: 4 }),
    requestedZone: fc.constantFrom(null, 'az1'),
    cpuFeatures: fc.constantFrom(null, ['avx'], ['avx2']),
    machineType: fc.constantFrom(null, 'pc-q35-10.0'),
    deviceLayout: fc.constantFrom(null, 1, 2),
    runningOn: fc.constantFrom(null, { qemuVersion: '10.0.2', accelerator: 'kvm' }),
    flavor: fc.record({
      name: fc.constant('f'),
      vcpus: fc.integer({ min: 1, max: 8 }),
      ramMib: fc.integer({ min: 64, max: 8192 }),
      diskGib: fc.nat(50),
      extraSpecs: fc.constantFrom({}, { ssd: 'true' }),
    }),
    disks: fc.constantFrom(
      [],
      [{ kind: 'shared', pool: 'shared', poolId: 'pool-1' } as const],
      [{ kind: 'local', pool: 'local', neededBytes: 2 ** 30 } as const],
    ),
    copiesLocalDisks: fc.boolean(),
    hints: fc.record({ sameHost: fc.array(member, { maxLength: 1 }), differentHost: fc.array(member, { maxLength: 2 }) }),
  })
  .map((over) => demandFixture(over));
const seeds = fc.integer();
const all = { limit: Infinity } as const;

describe('decide', () => {
  it('chooses exactly the hosts that every filter passes, asked one by one', () => {
    fc.assert(
      fc.property(hosts, demands, seeds, (all_, demand, seed) => {
        const decision = decide(snapshotOf(all_), demand, { seed, ...all });
        const passing = all_.filter((host) => filters.every((filter) => (filter.prepare(demand)?.(host) ?? null) === null));
        expect(new Set(decision.chosen.map((candidate) => candidate.host.id))).toEqual(new Set(passing.map((host) => host.id)));
        expect(decision.passing).toBe(passing.length);
      }),
    );
  });

  it('never breaks a hard rule, whatever else is asked', () => {
    fc.assert(
      fc.property(hosts, demands, seeds, (all_, demand, seed) => {
        for (const { host, loadAfter } of decide(snapshotOf(all_), demand, { seed, ...all }).chosen) {
          if (demand.kind !== 'create') expect(host.id).not.toBe(demand.currentHost?.id);
          expect(host.enabled && host.reachable && !host.forcedDown).toBe(true);
          expect(loadAfter.ramMib.used).toBeLessThanOrEqual(loadAfter.ramMib.capacity);
          expect(loadAfter.vcpus.used).toBeLessThanOrEqual(loadAfter.vcpus.capacity);
          const here = demand.group?.members.filter((one) => one.hosts.some((on) => on.id === host.id)).length ?? 0;
          if (demand.group?.policy === 'anti-affinity') expect(here).toBeLessThan(demand.group.maxServerPerHost ?? 1);
          if (demand.group?.policy === 'affinity') expect(here).toBe(demand.group.members.filter((one) => one.hosts.length > 0).length);
          if (demand.requestedZone !== null) expect(host.zone).toBe(demand.requestedZone);
          if (demand.requestedHost !== null) expect(host.id).toBe(demand.requestedHost.id);
        }
      }),
    );
  });

  it('does not depend on the order of hosts, and ranks the same with a limit as without', () => {
    fc.assert(
      fc.property(hosts, demands, seeds, fc.integer({ min: 1, max: 5 }), (all_, demand, seed, limit) => {
        const names = (list: readonly HostState[], most: number) =>
          decide(snapshotOf(list), demand, { seed, limit: most }).chosen.map((candidate) => candidate.host.name);
        const whole = names(all_, Infinity);
        expect(names(all_.toReversed(), Infinity)).toEqual(whole);
        expect(names(all_, limit)).toEqual(whole.slice(0, limit));
      }),
    );
  });

  it('says of bare metal that nothing is moved to it, and nothing of what it lacks besides', () => {
    const metal = hostFixture('metal1', { facts: factsFixture({ hypervisorType: 'ironic', machineTypes: [], cpuFeatures: [] }) });
    const demand = demandFixture({ kind: 'live-migration', machineType: 'pc-q35-10.0', cpuFeatures: ['avx'], deviceLayout: 2 });
    const codes = (which: typeof demand) =>
      decide(snapshotOf([metal]), which, { seed: 1, ...all })
        .rejectionsOf(0)
        .map(({ code }) => code);
    expect(codes(demand)).toEqual(['BareMetalTarget']);
    expect(codes(demandFixture({ ...demand, kind: 'create' }))).toContain('MachineType');
  });

  it('explains every rejected host, with a sentence for each reason', () => {
    fc.assert(
      fc.property(hosts, demands, seeds, (all_, demand, seed) => {
        const decision = decide(snapshotOf(all_), demand, { seed, ...all });
        const explained = explainDecision(decision);
        expect(explained.map((one) => one.host.id).toSorted()).toEqual(all_.map((host) => host.id).toSorted());
        for (const one of explained) {
          expect(one.passes).toBe(one.reasons.length === 0);
          expect(one.passes).toBe(one.rank !== null);
          for (const reason of one.reasons) expect(reason.sentence).not.toMatch(/undefined|NaN|^$|\[object/);
        }
        const stored = storedVerdicts(decision);
        for (const [index, host] of decision.hosts.entries()) {
          for (const rejection of decision.rejectionsOf(index)) {
            const group = stored.rejected.find((one) => one.code === rejection.code);
            const { sentence } = explainRejection(rejection, demand);
            expect(group?.examples.some((example) => example.sentence === sentence && example.hosts.includes(host.name))).toBe(true);
          }
        }
      }),
    );
  });

  it('never loses a candidate when a host gains capacity', () => {
    fc.assert(
      fc.property(hosts, demands, seeds, fc.nat(11), (all_, demand, seed, lucky) => {
        const bigger = all_.map((host, index) =>
          index === lucky
            ? {
                ...host,
                usage: { vcpus: 0, ramMib: 0, diskGib: 0 },
                facts: { ...host.facts, cores: host.facts.cores * 2, ramMib: host.facts.ramMib * 2 },
              }
            : host,
        );
        const ids = (list: readonly HostState[]) =>
          new Set(decide(snapshotOf(list), demand, { seed, ...all }).chosen.map((candidate) => candidate.host.id));
        expect([...ids(all_)].filter((id) => !ids(bigger).has(id))).toEqual([]);
      }),
    );
  });

  /** Hosts that all pass, differently loaded, so that only the ranking decides. */
  const roomyHosts = fc
    .array(fc.record({ vcpus: fc.nat(40), ramMib: fc.nat(50_000), incoming: fc.nat(2) }), { minLength: 2, maxLength: 30 })
    .map((loads) =>
      loads.map(({ incoming, ...usage }, index) =>
        hostFixture(`node${index}`, { usage: { ...usage, diskGib: 0 }, incomingMigrations: incoming }),
      ),
    );

  it('ranks soft group rules before every load', () => {
    const softGroup = group.filter((one) => one.policy.startsWith('soft'));
    fc.assert(
      fc.property(roomyHosts, softGroup, seeds, (all_, demanded, seed) => {
        const { chosen } = decide(snapshotOf(all_), demandFixture({ kind: 'live-migration', group: demanded }), { seed, ...all });
        expect(chosen.length).toBe(all_.length);
        const counts = chosen.map(({ host }) => demanded.members.filter((one) => one.hosts.some((on) => on.id === host.id)).length);
        expect(counts).toEqual(counts.toSorted((a, b) => (demanded.policy === 'soft-affinity' ? b - a : a - b)));
      }),
    );
  });

  it('ranks by load first, then by moves under way, and a short list is the head of the long one', () => {
    fc.assert(
      fc.property(roomyHosts, seeds, fc.integer({ min: 1, max: 8 }), (all_, seed, limit) => {
        const demand = demandFixture({ kind: 'live-migration' });
        const { chosen } = decide(snapshotOf(all_), demand, { seed, ...all });
        const keys = chosen.map(({ weights }) => (weights[0]?.weight ?? 0) * 1000 + (weights[1]?.weight ?? 0));
        expect(chosen[0]?.weights.map((one) => one.weigher)).toEqual(['load', 'incoming-migrations']);
        expect(keys).toEqual(keys.toSorted((a, b) => a - b));
        const short = decide(snapshotOf(all_.toReversed()), demand, { seed, limit }).chosen;
        expect(short.map((one) => one.host.name)).toEqual(chosen.slice(0, limit).map((one) => one.host.name));
      }),
    );
  });

  it('breaks ties by the seed alone', () => {
    const snapshot = snapshotOf(Array.from({ length: 50 }, (_, index) => hostFixture(`node${index}`)));
    const first = (seed: number) => decide(snapshot, demandFixture(), { seed }).chosen[0]?.host.name;
    expect(first(7)).toBe(first(7));
    expect(new Set(Array.from({ length: 50 }, (_, seed) => first(seed))).size).toBeGreaterThan(20);
  });

  it('prefers the emptier host and says so', () => {
    const busy = hostFixture('busy', { usage: { vcpus: 32, ramMib: 40_000, diskGib: 0 } });
    const explained = explainDecision(
      decide(snapshotOf([busy, hostFixture('idle')]), demandFixture({ kind: 'live-migration' }), { seed: 1 }),
    );
    expect(explained.map((one) => [one.host.name, one.rank, one.why])).toEqual([
      ['idle', 1, ['3 % loaded afterwards', 'no move under way into it']],
      ['busy', 2, ['64 % loaded afterwards', 'no move under way into it']],
    ]);
    expect(explained[1]?.loadAfter.ramMib).toEqual({ used: 42_048, capacity: 65_536 });
  });
});

describe('no valid host', () => {
  const cloud = snapshotOf([
    hostFixture('node1'),
    hostFixture('node2', { usage: { vcpus: 0, ramMib: 64_000, diskGib: 0 } }),
    hostFixture('node3', { enabled: false, disabledReason: 'kernel update' }),
  ]);
  const demand = demandFixture({ kind: 'live-migration', currentHost: { id: as<HostId>('id-node1'), name: 'node1' } });

  it('tells the reason of every host, the telling ones first', () => {
    const decision = decide(cloud, demand, { seed: 1 });
    expect(decision.chosen).toEqual([]);
    expect(noValidHostDetails(storedVerdicts(decision))).toBe(
      'NoValidHost: none of 3 hosts passes. node3: disabled: kernel update; node2: needs 2048 MB, 1536 MB free; node1: the server is on this host.',
    );
  });
  it("tells the named host's reasons alone", () => {
    const named = decide(cloud, { ...demand, requestedHost: { id: as<HostId>('id-node2'), name: 'node2' } }, { seed: 1 });
    expect(noValidHostDetails(storedVerdicts(named), 'node2')).toBe(
      'NoValidHost: host node2 does not pass. node2: needs 2048 MB, 1536 MB free.',
    );
  });
  it('has the words that clients know', () => {
    expect(noValidHostMessage('create')).toBe('No valid host was found. There are not enough hosts available.');
    expect(noValidHostMessage('migration')).toBe('No valid host was found. No valid host found for cold migrate');
  });
});

it('stores a decision of 10,000 rejections in a bounded size, every host counted', () => {
  const snapshot = snapshotOf(
    Array.from({ length: 10_000 }, (_, index) =>
      hostFixture(`node${index}`, { usage: { vcpus: 0, ramMib: 65_536 - (index % 2000), diskGib: 0 } }),
    ),
  );
  const stored = storedVerdicts(decide(snapshot, demandFixture(), { seed: 1 }));
  expect(stored.rejected.map((group) => [group.code, group.count])).toEqual([['InsufficientRam', 10_000]]);
  expect(JSON.stringify(stored).length).toBeLessThan(64_000);
});
