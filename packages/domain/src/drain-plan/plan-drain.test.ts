import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { as, type HostId, type ServerGroupId, type ServerId } from '../ids.ts';
import { decide } from '../scheduling/decide.ts';
import { demandFixture, factsFixture, hostFixture } from '../scheduling/fixtures.ts';
import type { HostState } from '../scheduling/host-state.ts';
import type { DemandedGroup } from '../scheduling/server-demand.ts';
import { snapshotOf } from '../scheduling/snapshot.ts';
import { planDrain } from './plan-drain.ts';
import type { PlannedServer } from './planned-server.ts';
import type { LinkFacts } from './time-moves.ts';

const links: LinkFacts = { parallel: 1, outgoingPerHost: 1, incomingPerHost: 1, bytesPerSecond: () => 1e8, fixedMs: 1000 };

type Server = {
  readonly name: string;
  readonly at: number;
  readonly ramMib: number;
  readonly group: number | null;
  readonly pin: number | null;
  readonly selected: boolean;
};
type Group = { readonly policy: DemandedGroup['policy']; readonly max: number | null };
type Cloud = {
  readonly ramMib: readonly number[];
  readonly enabled: readonly boolean[];
  readonly servers: readonly Server[];
  readonly groups: readonly Group[];
};

const place = (index: number) => ({ id: as<HostId>(`id-h${index}`), name: `h${index}` });

/** The cloud with its servers at `at`, made anew: nothing of the planner's own bookkeeping is used. */
function cloudAt(
  cloud: Cloud,
  at: readonly number[],
): { readonly hosts: readonly HostState[]; readonly demand: (index: number) => PlannedServer['demand'] } {
  const hosts = cloud.ramMib.map((ramMib, index) =>
    hostFixture(`h${index}`, {
      enabled: cloud.enabled[index] ?? true,
      disabledReason: cloud.enabled[index] === false ? 'emptied' : null,
      facts: factsFixture({ ramMib, cores: 64 }),
      usage: {
        vcpus: cloud.servers.filter((_, server) => at[server] === index).length,
        ramMib: cloud.servers.reduce((sum, server, number) => sum + (at[number] === index ? server.ramMib : 0), 0),
        diskGib: 0,
      },
    }),
  );
  const demand = (index: number): PlannedServer['demand'] => {
    const server = cloud.servers[index] as Server;
    const group = server.group === null ? undefined : cloud.groups[server.group];
    return {
      ...demandFixture({
        kind: 'live-migration',
        server: { id: as<ServerId>(server.name), name: server.name },
        flavor: { name: 'f', vcpus: 1, ramMib: server.ramMib, diskGib: 0, extraSpecs: {} },
        disks: [],
        requestedHost: server.pin === null ? null : place(server.pin),
        group:
          group === undefined
            ? null
            : {
                id: as<ServerGroupId>(`g${server.group}`),
                name: `g${server.group}`,
                policy: group.policy,
                maxServerPerHost: group.max,
                members: cloud.servers.flatMap((other, number) =>
                  number !== index && other.group === server.group
                    ? [{ id: as<ServerId>(other.name), name: other.name, hosts: [place(at[number] as number)] }]
                    : [],
                ),
              },
      }),
      currentHost: place(at[index] as number),
    };
  };
  return { hosts, demand };
}

const passes = (cloud: Cloud, at: readonly number[], server: number, to: number): boolean => {
  const { hosts, demand } = cloudAt(cloud, at);
  return decide(snapshotOf([hosts[to] as HostState]), demand(server), { seed: 0 }).passing === 1;
};

/** The most selected servers that can move, each (and each helper) once, found by trying everything. */
function bruteForce(cloud: Cloud, helpers: boolean): number {
  const start = cloud.servers.map(({ at }) => at);
  const seen = new Set<string>();
  let most = 0;
  const visit = (at: readonly number[], moved: readonly boolean[]): void => {
    const key = `${at.join()}|${moved.join()}`;
    if (seen.has(key)) return;
    seen.add(key);
    most = Math.max(most, cloud.servers.filter((server, index) => server.selected && moved[index] === true).length);
    for (const [index, server] of cloud.servers.entries()) {
      if (moved[index] === true || (!server.selected && !helpers)) continue;
      for (let to = 0; to < cloud.ramMib.length; to++)
        if (to !== at[index] && passes(cloud, at, index, to)) visit(at.with(index, to), moved.with(index, true));
    }
  };
  visit(
    start,
    start.map(() => false),
  );
  return most;
}

const planned = (cloud: Cloud, want: (server: Server) => boolean): PlannedServer[] => {
  const { demand } = cloudAt(
    cloud,
    cloud.servers.map(({ at }) => at),
  );
  return cloud.servers.flatMap((server, index) =>
    want(server) ? [{ demand: demand(index), method: 'live' as const, bytes: server.ramMib * 2 ** 20 }] : [],
  );
};
const planOf = (cloud: Cloud, helpers: boolean, more: Partial<LinkFacts> = {}, searchChecks?: number) => {
  const { hosts } = cloudAt(
    cloud,
    cloud.servers.map(({ at }) => at),
  );
  return planDrain(
    snapshotOf(hosts),
    planned(cloud, ({ selected }) => selected),
    {
      seed: 1,
      others: helpers ? planned(cloud, ({ selected }) => !selected) : [],
      links: { ...links, ...more },
      ...(searchChecks === undefined ? {} : { searchChecks }),
    },
  );
};

/** Runs the plan's moves one by one against filters that know nothing of the planner; throws when one does not pass. */
function run(cloud: Cloud, plan: ReturnType<typeof planDrain>): readonly number[] {
  let at: readonly number[] = cloud.servers.map((server) => server.at);
  for (const move of plan.moves) {
    const index = cloud.servers.findIndex(({ name }) => name === move.server.demand.server.name);
    const to = cloud.ramMib.findIndex((_, host) => `h${host}` === move.to.name);
    expect(passes(cloud, at, index, to), `${move.server.demand.server.name} → ${move.to.name}`).toBe(true);
    at = at.with(index, to);
  }
  return at;
}

const clouds = fc
  .record({
    ramMib: fc.array(fc.constantFrom(4, 6, 8, 12), { minLength: 2, maxLength: 4 }),
    drained: fc.nat(3),
    groups: fc.array(
      fc.record({
        policy: fc.constantFrom('affinity' as const, 'anti-affinity' as const, 'soft-anti-affinity' as const),
        max: fc.constantFrom(null, 2),
      }),
      { maxLength: 2 },
    ),
    servers: fc.array(
      fc.record({
        at: fc.nat(3),
        ramMib: fc.constantFrom(2, 3, 4, 6),
        group: fc.option(fc.nat(1), { nil: null }),
        pin: fc.option(fc.nat(3), { nil: null, freq: 6 }),
        extra: fc.boolean(),
      }),
      { minLength: 1, maxLength: 5 },
    ),
    drain: fc.boolean(),
  })
  .map(({ ramMib, drained, groups, servers, drain }): Cloud => {
    const host = drained % ramMib.length;
    const used = ramMib.map(() => 0);
    const kept = servers.flatMap((server, index): Server[] => {
      const at = server.at % ramMib.length;
      if ((used[at] as number) + server.ramMib > (ramMib[at] as number)) return [];
      used[at] = (used[at] as number) + server.ramMib;
      const selected = drain ? at === host : server.extra;
      const pin = server.pin === null || server.pin % ramMib.length === at || !selected ? null : server.pin % ramMib.length;
      return [
        {
          name: `s${index}`,
          at,
          ramMib: server.ramMib,
          group: server.group === null || server.group >= groups.length ? null : server.group,
          pin,
          selected,
        },
      ];
    });
    return { ramMib, enabled: ramMib.map((_, index) => !drain || index !== host), servers: kept, groups };
  });

describe('planDrain', () => {
  it.each([false, true])(
    'finds every order that trying everything finds, and proves the rest impossible (others may move: %s)',
    (helpers) => {
      fc.assert(
        fc.property(clouds, (cloud) => {
          const plan = planOf(cloud, helpers);
          const selected = cloud.servers.filter((server) => server.selected).length;
          const most = bruteForce(cloud, helpers);
          run(cloud, plan);
          expect(plan.moves.filter((move) => !move.makesRoom).length).toBe(most);
          expect(plan.outcome).toBe(most === selected ? 'found' : 'impossible');
          expect(plan.unplaced.length).toBe(selected - most);
        }),
        { numRuns: 300 },
      );
    },
  );

  it('never begins a move that does not pass beside those under way', () => {
    fc.assert(
      fc.property(clouds, fc.integer({ min: 1, max: 4 }), fc.integer({ min: 1, max: 2 }), (cloud, parallel, perHost) => {
        const plan = planOf(cloud, false, { parallel, outgoingPerHost: perHost, incomingPerHost: perHost });
        for (const move of plan.moves) {
          const beside = plan.moves.filter((other) => other !== move && other.startMs <= move.startMs && other.endMs > move.startMs);
          expect(beside.length).toBeLessThan(parallel);
          expect(beside.filter((other) => other.to.id === move.to.id).length).toBeLessThan(perHost);
          expect(beside.filter((other) => other.server.demand.currentHost.id === move.server.demand.currentHost.id).length).toBeLessThan(
            perHost,
          );
        }
        // What is on each host at each moment, both sides of a move counted, fits.
        for (const moment of plan.moves.map(({ startMs }) => startMs))
          for (const [host, ramMib] of cloud.ramMib.entries()) {
            const here = cloud.servers.filter((server) => {
              const move = plan.moves.find((one) => one.server.demand.server.name === server.name);
              const arrived = move !== undefined && move.startMs <= moment && move.to.name === `h${host}`;
              const stays = server.at === host && (move === undefined || move.endMs > moment);
              return arrived || stays;
            });
            expect(here.reduce((sum, server) => sum + server.ramMib, 0)).toBeLessThanOrEqual(ramMib);
          }
      }),
      { numRuns: 200 },
    );
  });

  it('plans only what passes in its turn, however little it may search', () => {
    const larger = fc
      .record({
        ramMib: fc.array(fc.constantFrom(8, 12, 16), { minLength: 3, maxLength: 5 }),
        list: fc.array(fc.tuple(fc.nat(4), fc.constantFrom(2, 3, 4, 5, 6, 8), fc.boolean(), fc.option(fc.nat(4), { nil: null, freq: 2 })), {
          minLength: 6,
          maxLength: 16,
        }),
        searchChecks: fc.constantFrom(500, 2_000, 8_000),
      })
      .map(({ ramMib, list, searchChecks }) => {
        const used = ramMib.map(() => 0);
        const servers = list.flatMap(([place, ram, selected, wish], index): Server[] => {
          const at = place % ramMib.length;
          if ((used[at] as number) + ram > (ramMib[at] as number)) return [];
          used[at] = (used[at] as number) + ram;
          const pin = wish === null || wish % ramMib.length === at || !selected ? null : wish % ramMib.length;
          return [{ name: `s${index}`, at, ramMib: ram, group: null, pin, selected }];
        });
        return { cloud: { ramMib, enabled: ramMib.map(() => true), servers, groups: [] }, searchChecks };
      });
    fc.assert(
      fc.property(larger, ({ cloud, searchChecks }) => {
        const plan = planOf(cloud, true, {}, searchChecks);
        run(cloud, plan);
        expect(plan.moves.filter(({ makesRoom }) => !makesRoom).length + plan.unplaced.length).toBe(
          cloud.servers.filter(({ selected }) => selected).length,
        );
      }),
      { numRuns: 400 },
    );
  });

  it('says that it is impossible only where it is, however little it may search', () => {
    fc.assert(
      fc.property(clouds, fc.boolean(), fc.constantFrom(1, 10, 40), (cloud, helpers, searchChecks) => {
        const plan = planOf(cloud, helpers, {}, searchChecks);
        run(cloud, plan);
        const selected = cloud.servers.filter((server) => server.selected).length;
        const moved = plan.moves.filter(({ makesRoom }) => !makesRoom).length;
        if (plan.outcome === 'impossible') expect(bruteForce(cloud, helpers)).toBe(moved);
        expect(plan.outcome === 'found').toBe(moved === selected);
      }),
      { numRuns: 600 },
    );
  });

  it('moves one aside where there are too many to look at every order', () => {
    const tiny = Array.from({ length: 220 }, (_, index) => server(`t${index}`, 3, 1, { selected: false }));
    const cloud: Cloud = {
      ramMib: [80, 80, 40, 220],
      enabled: [false, true, true, true],
      groups: [],
      servers: [server('big', 0, 60), server('other', 1, 40, { selected: false }), ...tiny],
    };
    expect(planOf(cloud, true).moves.map((move) => [move.server.demand.server.name, move.to.name])).toEqual([
      ['other', 'h2'],
      ['big', 'h1'],
    ]);
  });

  const server = (name: string, at: number, ramMib: number, more: Partial<Server> = {}): Server => ({
    name,
    at,
    ramMib,
    group: null,
    pin: null,
    selected: true,
    ...more,
  });

  it('moves one away so that the other fits', () => {
    // big fits h1 only after small has left it; small, asked first as the scheduler would, is not in the way of anything else.
    const cloud: Cloud = {
      ramMib: [8, 8, 4],
      enabled: [true, true, true],
      groups: [],
      servers: [server('big', 0, 6), server('small', 1, 4)],
    };
    const plan = planOf(cloud, false);
    expect(plan.moves.map((move) => `${move.server.demand.server.name}→${move.to.name}`)).toEqual(['small→h2', 'big→h1']);
  });

  it('asks for help by a server that was not named, only when it may', () => {
    const cloud: Cloud = {
      ramMib: [8, 8, 4],
      enabled: [false, true, true],
      groups: [],
      servers: [server('big', 0, 6), server('other', 1, 4, { selected: false })],
    };
    expect(planOf(cloud, true).moves.map((move) => [move.server.demand.server.name, move.to.name, move.makesRoom])).toEqual([
      ['other', 'h2', true],
      ['big', 'h1', false],
    ]);
    const alone = planOf(cloud, false);
    expect(alone.outcome).toBe('impossible');
    expect(alone.unplaced[0]?.reason).toBe('no host takes it, whatever else moves; h1: needs 6 MB, 4 MB free');
    expect(alone.unplaced[0]?.remedy).toBe('on h1: free 2 MB of memory here');
  });

  it('names the group whose rule forbids every move', () => {
    const cloud: Cloud = {
      ramMib: [8, 8],
      enabled: [false, true],
      groups: [{ policy: 'affinity', max: null }],
      servers: [server('a', 0, 2, { group: 0 }), server('b', 0, 2, { group: 0 })],
    };
    const plan = planOf(cloud, false);
    expect(plan.moves).toEqual([]);
    expect(plan.unplaced.map(({ code, override }) => [code, override?.name])).toEqual([
      ['Affinity', 'g0'],
      ['Affinity', 'g0'],
    ]);
    expect(plan.unplaced[0]?.remedy).toBe('on h1: remove the server from group g0, move it, add it again');
  });

  it('expects links to be shared by the moves on them', () => {
    const cloud: Cloud = {
      ramMib: [800, 800, 800],
      enabled: [false, true, true],
      groups: [],
      servers: [server('a', 0, 100), server('b', 0, 100)],
    };
    const oneMs = 1000 + Math.ceil((100 * 2 ** 20) / 1e5);
    expect(planOf(cloud, false).durationMs).toBe(2 * oneMs);
    // The source's link is the only one of both: in parallel they take as long for their bytes, and prepare together.
    const parallel = planOf(cloud, false, { parallel: 2, outgoingPerHost: 2 });
    expect(parallel.waves).toBe(1);
    expect(parallel.durationMs).toBeLessThan(2 * oneMs);
    expect(parallel.durationMs).toBeGreaterThan(oneMs);
  });
});
