import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { as, type HostId, type ServerId } from '../ids.ts';
import { decide } from '../scheduling/decide.ts';
import { demandFixture, factsFixture, hostFixture } from '../scheduling/fixtures.ts';
import type { HostState } from '../scheduling/host-state.ts';
import { snapshotOf } from '../scheduling/snapshot.ts';
import { adviseBalance, type BalanceMove, contendedHosts, type MoveCost } from './balance.ts';
import type { PlannedServer } from './planned-server.ts';

type Placed = { readonly name: string; readonly host: number; readonly ramMib: number };
const free: MoveCost = { linkMs: 0, blackoutMs: 0 };
const CAPACITY = 1000;

const hostsOf = (servers: readonly Placed[], count: number, extra: readonly number[] = []): readonly HostState[] =>
  Array.from({ length: count }, (_, index) =>
    hostFixture(`h${index}`, {
      facts: factsFixture({ ramMib: CAPACITY, cores: 1000 }),
      usage: {
        vcpus: 0,
        ramMib: servers.reduce((sum, server) => sum + (server.host === index ? server.ramMib : 0), extra[index] ?? 0),
        diskGib: 0,
      },
    }),
  );
const planned = (server: Placed): PlannedServer => ({
  demand: {
    ...demandFixture({
      kind: 'live-migration',
      server: { id: as<ServerId>(server.name), name: server.name },
      flavor: { name: 'f', vcpus: 0, ramMib: server.ramMib, diskGib: 0, extraSpecs: {} },
      disks: [],
    }),
    currentHost: { id: as<HostId>(`id-h${server.host}`), name: `h${server.host}` },
  },
  method: 'live',
  bytes: server.ramMib * 2 ** 20,
});
const advise = (servers: readonly Placed[], count: number, extra: readonly number[] = [], cost: MoveCost = free) =>
  adviseBalance(snapshotOf(hostsOf(servers, count, extra)), servers.map(planned), { cost: () => cost });
const carryOut = (servers: readonly Placed[], moves: readonly BalanceMove[]): readonly Placed[] =>
  servers.map((server) => {
    const move = moves.find((one) => one.server.demand.server.name === server.name);
    return move === undefined ? server : { ...server, host: Number(move.to.name.slice(1)) };
  });

// Rather full, and most on the first host: where advice has something to do, and where it could do harm.
const where = fc.oneof({ weight: 2, arbitrary: fc.constant(0) }, { weight: 3, arbitrary: fc.nat(4) });
const clouds = fc
  .tuple(fc.integer({ min: 2, max: 5 }), fc.array(fc.tuple(where, fc.integer({ min: 20, max: 250 })), { minLength: 8, maxLength: 30 }))
  .map(([count, list]) => {
    const used = Array.from({ length: count }, () => 0);
    const servers = list.flatMap(([at, ramMib], index): Placed[] => {
      const host = at % count;
      if ((used[host] ?? 0) + ramMib > CAPACITY) return [];
      used[host] = (used[host] ?? 0) + ramMib;
      return [{ name: `s${index}`, host, ramMib }];
    });
    return { count, servers };
  });

describe('adviseBalance', () => {
  it('moves only from contended hosts, only where the filters pass, and never makes another one contended', () => {
    fc.assert(
      fc.property(clouds, ({ count, servers }) => {
        let now: readonly Placed[] = servers;
        for (const move of advise(servers, count)) {
          const hosts = hostsOf(now, count);
          const from = move.server.demand.currentHost;
          expect(contendedHosts(snapshotOf(hosts)).map(({ name }) => name)).toContain(from.name);
          const target = hosts.find(({ name }) => name === move.to.name) as HostState;
          expect(decide(snapshotOf([target]), move.server.demand, { seed: 0 }).passing).toBe(1);
          now = carryOut(now, [move]);
          expect(contendedHosts(snapshotOf(hostsOf(now, count))).map(({ name }) => name)).not.toContain(move.to.name);
        }
      }),
      { numRuns: 1000 },
    );
  });

  it('has nothing to say once it was followed', () => {
    fc.assert(
      fc.property(clouds, ({ count, servers }) => {
        expect(advise(carryOut(servers, advise(servers, count)), count)).toEqual([]);
      }),
      { numRuns: 1000 },
    );
  });

  it('moves nothing back while loads change by less than the hysteresis', () => {
    fc.assert(
      fc.property(clouds, fc.array(fc.integer({ min: 0, max: 49 }), { minLength: 5, maxLength: 5 }), ({ count, servers }, noise) => {
        const first = advise(servers, count);
        const after = carryOut(servers, first);
        const arrived = new Set(first.map(({ to }) => to.name));
        // Up to 4.9 points on any host: a host's distance from the mean changes by less than the gap.
        for (const move of advise(after, count, noise)) expect(arrived.has(move.server.demand.currentHost.name)).toBe(false);
      }),
      { numRuns: 1000 },
    );
  });

  const skewed: readonly Placed[] = [
    { name: 'a', host: 0, ramMib: 300 },
    { name: 'b', host: 0, ramMib: 300 },
    { name: 'c', host: 0, ramMib: 300 },
  ];

  it('relieves the fullest, and says by how much', () => {
    const [move] = advise(skewed, 3);
    expect([move?.sourceBefore, move?.sourceAfter, move?.destinationAfter]).toEqual([90, 60, 30]);
  });

  it('does not trade one full host for another', () => {
    const servers = [
      { name: 'a', host: 0, ramMib: 500 },
      { name: 'b', host: 0, ramMib: 450 },
      { name: 'c', host: 1, ramMib: 300 },
    ];
    expect(contendedHosts(snapshotOf(hostsOf(servers, 2))).map(({ name }) => name)).toEqual(['h0']);
    // h1 would be 75 or 80 % full, where 62.5 is the mean.
    expect(advise(servers, 2)).toEqual([]);
  });

  it('leaves a move that costs more than it brings', () => {
    expect(advise(skewed, 3, [], { linkMs: 3_600_000, blackoutMs: 0 })).toEqual([]);
    expect(advise(skewed, 3, [], { linkMs: 0, blackoutMs: 30_000 })).toEqual([]);
  });
});
