/**
 * The API, the scheduler and the workflows at scale, on simulated hosts whose QEMUs take no time (as Nova's fake driver): what is measured is the control plane alone.
 * Run: node bench/run.ts simulated
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { OpenStackClient } from '@godwit/lab/cloud/openstack-client';
import { type SimulatedCloud, startSimulatedCloud } from '@godwit/lab/cloud/simulated-cloud';
import { watchEvents } from './event-stream.ts';
import { pssMib } from './memory.ts';
import { printed, type Summary, summarise } from './quantiles.ts';

const hostCount = 120;
const serverCount = 1_000;
const createsInParallel = 8;
const movesAlone = 40;
const movesTogether = 500;
const inFlight = 50;
const lists = 30;
/** After the load: idle database connections are closed after 10 s. */
const restMs = 20_000;

/** Nothing takes time but the control plane. */
const instant = { qemuStartMs: 0, diskCreateMs: 0, bandwidthBytesPerSecond: 0, blackoutMs: 0 };

export type SimulatedFigures = {
  readonly hosts: number;
  readonly hostsUpSeconds: number;
  readonly acceptMs: Summary | null;
  readonly serversPerSecond: number;
  readonly listMs: Summary | null;
  readonly queriesPerList: number;
  readonly aloneMs: Summary | null;
  readonly togetherMs: Summary | null;
  readonly movesPerSecond: number;
  readonly perMove: Readonly<Record<'transactions' | 'rpcs' | 'migrationWrites', number>>;
  readonly leaks: readonly string[];
  readonly controlPlaneMib: number;
};

export async function benchSimulated(): Promise<SimulatedFigures> {
  const before = performance.now();
  const cloud = await startSimulatedCloud({
    hosts: hostCount,
    timings: instant,
    controller: { limits: { outgoingPerHost: 4, incomingPerHost: 4, total: 200 } },
  });
  try {
    const hostsUpSeconds = (performance.now() - before) / 1000;
    console.log(`${hostCount} simulated hosts up, cloud made and seeded: ${hostsUpSeconds.toFixed(1)} s`);
    const events = await watchEvents(cloud.client);
    try {
      const idle = await idleRate(cloud.client);
      const created = await create(cloud, events);
      const listed = await list(cloud.client, idle);
      const alone = await move(cloud.client, events, created.ids.slice(0, movesAlone), 1, idle);
      console.log(`live migration, one after the other: accepted → completed ${printed(alone.latency)} ms`);
      console.log(`  by phase: ${await phases(cloud.client, movesAlone)}`);
      const together = await move(cloud.client, events, created.ids.slice(0, movesTogether), inFlight, idle);
      console.log(
        `live migration, ${inFlight} in flight, ${movesTogether} in all: ${together.perSecond.toFixed(1)} per second, accepted → completed ${printed(together.latency)} ms`,
      );
      console.log(`per migration: ${JSON.stringify(together.perMove)}`);
      const leaks = await ledgerLeaks(cloud.client, created.ids.length);
      console.log(`ledger: ${leaks.length === 0 ? 'one claim per server, none else' : leaks.join('; ')}`);
      const atOnceMib = await pssMib(cloud.pids.controller);
      await delay(restMs);
      const controlPlaneMib = await pssMib(cloud.pids.controller);
      console.log(
        `memory (PSS) after that load: controller and database ${atOnceMib.toFixed(0)} MiB, ${restMs / 1000} s later ${controlPlaneMib.toFixed(0)} MiB`,
      );
      return {
        hosts: hostCount,
        hostsUpSeconds,
        acceptMs: created.accepted,
        serversPerSecond: created.perSecond,
        listMs: listed.latency,
        queriesPerList: listed.queries,
        aloneMs: alone.latency,
        togetherMs: together.latency,
        movesPerSecond: together.perSecond,
        perMove: together.perMove,
        leaks,
        controlPlaneMib,
      };
    } finally {
      events.close();
    }
  } finally {
    await cloud.stop();
  }
}

type Events = Awaited<ReturnType<typeof watchEvents>>;

async function create(
  { client, imageId, networkId, flavorId }: SimulatedCloud,
  events: Events,
): Promise<{ readonly ids: readonly string[]; readonly accepted: Summary | null; readonly perSecond: number }> {
  const ids: string[] = [];
  const accepted: number[] = [];
  const began = performance.now();
  await atOnce(createsInParallel, serverCount, async (index) => {
    const at = performance.now();
    const { server } = await client.request<{ readonly server: { readonly id: string } }>('compute', 'POST', '/servers', {
      body: { server: { name: `bench-${index}`, imageRef: imageId, flavorRef: flavorId, networks: [{ uuid: networkId }] } },
    });
    accepted.push(performance.now() - at);
    ids.push(server.id);
  });
  await Promise.all(ids.map((id) => events.server(id, (seen) => seen.status === 'ACTIVE' || seen.status === 'ERROR')));
  const perSecond = serverCount / ((performance.now() - began) / 1000);
  const summary = summarise(accepted);
  console.log(
    `${serverCount} servers, ${createsInParallel} requests at a time: accepted ${printed(summary)} ms, ${perSecond.toFixed(1)} per second to ACTIVE`,
  );
  return { ids, accepted: summary, perSecond };
}

type Counters = Readonly<Record<'commits' | 'rpcs' | 'migrationWrites', number>>;

/** What the cloud counts in a second by itself, before anything is asked of it: heartbeats, duties. */
async function idleRate(client: OpenStackClient): Promise<Counters> {
  const seconds = 5;
  const before = await counters(client);
  await delay(seconds * 1_000);
  const after = await counters(client);
  return {
    commits: (after.commits - before.commits) / seconds,
    rpcs: (after.rpcs - before.rpcs) / seconds,
    migrationWrites: (after.migrationWrites - before.migrationWrites) / seconds,
  };
}

async function list(client: OpenStackClient, idle: Counters): Promise<{ readonly latency: Summary | null; readonly queries: number }> {
  const took: number[] = [];
  const began = performance.now();
  const before = await counters(client);
  for (let round = 0; round < lists; round++) {
    const at = performance.now();
    const { servers } = await client.request<{ readonly servers: readonly unknown[] }>('compute', 'GET', '/servers/detail');
    took.push(performance.now() - at);
    if (servers.length !== serverCount) throw new Error(`the list shows ${servers.length} servers, not ${serverCount}`);
  }
  const latency = summarise(took);
  await delay(1_500); // PostgreSQL's counters lag by up to a second
  const after = await counters(client);
  const queries = Math.max(0, (after.commits - before.commits - (idle.commits * (performance.now() - began)) / 1000) / lists);
  console.log(`GET /servers/detail of ${serverCount}: ${printed(latency)} ms, ${queries.toFixed(1)} transactions each`);
  return { latency, queries };
}

/** The medians of the last moves' phases, in the controllers' clock. */
async function phases(client: OpenStackClient, count: number): Promise<string> {
  const { migrations } = await client.request<{
    readonly migrations: readonly { readonly phaseDurationsMs: Readonly<Record<string, number>> }[];
  }>('godwit', 'GET', `/migrations?limit=${count}`);
  const names = [...new Set(migrations.flatMap((one) => Object.keys(one.phaseDurationsMs)))];
  return names.map((name) => `${name} ${printed(summarise(migrations.map((one) => one.phaseDurationsMs[name] ?? 0)))}`).join(' · ');
}

async function move(client: OpenStackClient, events: Events, ids: readonly string[], together: number, idle: Counters) {
  const took: number[] = [];
  await delay(1_500);
  const before = await counters(client);
  const began = performance.now();
  await atOnce(together, ids.length, async (index) => {
    const id = ids[index] ?? '';
    const at = performance.now();
    await client.request('compute', 'POST', `/servers/${id}/action`, {
      body: { 'os-migrateLive': { host: null, block_migration: 'auto' } },
    });
    const end = await events.migration(id, (seen) => ['completed', 'failed', 'error', 'cancelled'].includes(seen.status), at);
    if (end.status !== 'completed') throw new Error(`a migration of ${id} ended ${end.status}`);
    took.push(performance.now() - at);
  });
  const seconds = (performance.now() - began) / 1000;
  await delay(1_500);
  const after = await counters(client);
  const all = (performance.now() - began) / 1000;
  const per = (what: keyof Counters): number => Math.round(((after[what] - before[what] - idle[what] * all) / ids.length) * 10) / 10;
  return {
    latency: summarise(took),
    perSecond: ids.length / seconds,
    perMove: { transactions: per('commits'), rpcs: per('rpcs'), migrationWrites: per('migrationWrites') },
  };
}

/** What the controller and its database counted so far; the cloud's own background is in it. */
async function counters(client: OpenStackClient): Promise<Counters> {
  const text = await (await fetch(new URL('/metrics', client.endpoint('godwit')))).text();
  const sum = (pattern: RegExp): number => [...text.matchAll(pattern)].reduce((total, found) => total + Number(found[1]), 0);
  return {
    commits: sum(/^godwit_database_commits_total (\S+)$/gm),
    rpcs: sum(/^godwit_agent_calls_total\{method="(?!getHost|GetHost)[^"]*"\} (\S+)$/gm),
    migrationWrites: sum(/^godwit_database_row_writes_total\{table="migration"\} (\S+)$/gm),
  };
}

/** What the ledger holds beyond one claim per server. */
async function ledgerLeaks(client: OpenStackClient, servers: number): Promise<readonly string[]> {
  const headers = { 'openstack-api-version': 'placement 1.29' };
  const { resource_providers } = await client.request<{ readonly resource_providers: readonly { readonly uuid: string }[] }>(
    'placement',
    'GET',
    '/resource_providers',
    { headers },
  );
  const holders = new Map<string, number>();
  for (const { uuid } of resource_providers) {
    const { allocations } = await client.request<{ readonly allocations: Readonly<Record<string, unknown>> }>(
      'placement',
      'GET',
      `/resource_providers/${uuid}/allocations`,
      { headers },
    );
    for (const consumer of Object.keys(allocations)) holders.set(consumer, (holders.get(consumer) ?? 0) + 1);
  }
  const { servers: rows } = await client.request<{ readonly servers: readonly { readonly id: string }[] }>('compute', 'GET', '/servers');
  const known = new Set(rows.map((row) => row.id));
  const leaks = [...holders].flatMap(([consumer, times]) =>
    known.has(consumer) ? (times === 1 ? [] : [`${consumer} holds ${times} hosts`]) : [`${consumer} is no server and holds a host`],
  );
  return holders.size === servers ? leaks : [...leaks, `${holders.size} hold something, of ${servers} servers`];
}

/** Runs `work(0…count-1)`, so many at a time. */
async function atOnce(together: number, count: number, work: (index: number) => Promise<void>): Promise<void> {
  const indexes = Array.from({ length: count }, (_, index) => index).values();
  const worker = async (): Promise<void> => {
    for (const index of indexes) await work(index);
  };
  await Promise.all(Array.from({ length: together }, worker));
}
