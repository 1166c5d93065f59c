import { randomUUID } from 'node:crypto';
import { as, type HostId } from '@godwit/domain/ids';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import type { HostState } from '@godwit/domain/scheduling/host-state';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, Db } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { loadHosts } from '../workflows/scheduling/load-hosts.ts';
import { pruneHostChanges } from './prune-host-changes.ts';
import { createWarmSnapshot, type WarmSnapshot } from './warm-snapshot.ts';

const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
let server: TestServer;
let database: Database;
let db: Db;
let hostIds: HostId[];
let serverId: string;
let aggregateId: number;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  database = await server.database();
  db = database.db;
  hostIds = [];
  for (let index = 0; index < 6; index++) hostIds.push(await newHost(db));
  serverId = randomUUID();
  await db
    .insertInto('server')
    .values({
      id: serverId,
      name: 's',
      hostname: 's',
      project_id: 'p',
      user_id: 'u',
      vm_state: 'active',
      task_state: null,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
    })
    .execute();
  ({ id: aggregateId } = await db.insertInto('aggregate').values({ name: 'a', metadata: '{}' }).returning('id').executeTakeFirstOrThrow());
});

async function newHost(on: Db): Promise<HostId> {
  const id = as<HostId>(randomUUID());
  await on
    .insertInto('host')
    .values({
      id,
      name: `node-${id}`,
      hypervisor_type: 'QEMU',
      address: '10.0.0.1',
      rpc_port: 1,
      reachable: true,
      facts: JSON.stringify(factsFixture()),
    })
    .execute();
  return id;
}
const claimOn = (on: Db, host: HostId) =>
  on
    .insertInto('allocation')
    .values({ consumer_id: randomUUID(), consumer_type: 'server', server_id: serverId, host_id: host, vcpus: 1, ram_mib: 512, disk_gib: 1 })
    .execute();

/** Everything that changes a host for the scheduler. */
const changes = {
  claim: (on: Db, host: HostId) => claimOn(on, host),
  release: (on: Db, host: HostId) => on.deleteFrom('allocation').where('host_id', '=', host).execute(),
  shift: async (on: Db, host: HostId) => on.updateTable('allocation').set({ host_id: host }).where('host_id', '<>', host).execute(),
  disable: (on: Db, host: HostId) =>
    on.updateTable('host').set({ enabled: false, disabled_reason: 'kernel update' }).where('id', '=', host).execute(),
  enable: (on: Db, host: HostId) => on.updateTable('host').set({ enabled: true, disabled_reason: null }).where('id', '=', host).execute(),
  silence: (on: Db, host: HostId) =>
    on.updateTable('host').set({ reachable: false, last_seen_at: new Date() }).where('id', '=', host).execute(),
  facts: (on: Db, host: HostId) =>
    on
      .updateTable('host')
      .set({ facts: JSON.stringify(factsFixture({ ramMib: 1024, cpuFeatures: ['amx'] })) })
      .where('id', '=', host)
      .execute(),
  remove: (on: Db, host: HostId) => on.updateTable('host').set({ deleted_at: new Date() }).where('id', '=', host).execute(),
  join: (on: Db) => newHost(on),
  gather: (on: Db, host: HostId) =>
    on
      .insertInto('aggregate_host')
      .values({ aggregate_id: aggregateId, host_id: host })
      .onConflict((c) => c.doNothing())
      .execute(),
  scatter: (on: Db, host: HostId) => on.deleteFrom('aggregate_host').where('host_id', '=', host).execute(),
  zone: (on: Db) =>
    on
      .updateTable('aggregate')
      .set({ metadata: JSON.stringify({ availability_zone: `az${Math.random()}` }) })
      .execute(),
  move: async (on: Db, host: HostId) => {
    await on.updateTable('migration').set({ finished_at: new Date() }).execute();
    await on
      .insertInto('migration')
      .values({
        id: randomUUID(),
        server_id: serverId,
        type: 'live-migration',
        status: 'running',
        phase: 'copying',
        previous_vm_state: 'active',
        user_id: 'u',
        project_id: 'p',
        request_id: 'r',
        destination_host_id: host,
      })
      .execute();
  },
  redirect: (on: Db, host: HostId) =>
    on.updateTable('migration').set({ destination_host_id: host }).where('finished_at', 'is', null).execute(),
  /** It has arrived, and waits to be confirmed. */
  arrive: (on: Db) => on.updateTable('migration').set({ status: 'finished' }).where('finished_at', 'is', null).execute(),
} satisfies Record<string, (on: Db, host: HostId) => Promise<unknown>>;

const sorted = (hosts: readonly HostState[]) => hosts.toSorted((a, b) => (a.id < b.id ? -1 : 1));
async function expectCurrent(warm: WarmSnapshot, on: Db = db): Promise<void> {
  const snapshot = await warm.current(on);
  expect(sorted(snapshot.hosts)).toEqual(sorted(await loadHosts(on, ratios)));
  expect(snapshot.idHashes.length).toBe(snapshot.hosts.length);
}

describe('the warm snapshot', () => {
  it('equals the database after any changes, committed, rolled back, or seen from within', async () => {
    const steps = fc.array(
      fc.record({
        change: fc.constantFrom(...(Object.keys(changes) as (keyof typeof changes)[])),
        host: fc.nat(9),
        end: fc.constantFrom('commit', 'commit', 'rollback'),
        lookInside: fc.boolean(),
        lookAfter: fc.boolean(),
      }),
      { maxLength: 14 },
    );
    const warm = createWarmSnapshot(ratios);
    await fc.assert(
      fc.asyncProperty(steps, async (list) => {
        for (const { change, host, end, lookInside, lookAfter } of list) {
          await db
            .transaction()
            .execute(async (tx) => {
              await changes[change](tx, hostIds[host % hostIds.length] ?? as<HostId>(''));
              if (lookInside) await expectCurrent(warm, tx);
              if (end === 'rollback') throw new Error('rolled back');
            })
            .catch((error: Error) => expect(error.message).toBe('rolled back'));
          if (lookAfter) await expectCurrent(warm);
        }
        await expectCurrent(warm);
      }),
      { numRuns: 40 },
    );
  });

  it('counts a cold move that waits to be confirmed no longer among those that come', async () => {
    const [host] = hostIds;
    const warm = createWarmSnapshot(ratios);
    const incoming = async () => (await warm.current(db)).hosts.find(({ id }) => id === host)?.incomingMigrations;
    await changes.move(db, host ?? as<HostId>(''));
    expect(await incoming()).toBe(1);
    await changes.arrive(db);
    expect(await incoming()).toBe(0);
  });

  it('loses no change whose transaction began earlier and committed later', async () => {
    const [early, late] = [hostIds[0] ?? as<HostId>(''), hostIds[1] ?? as<HostId>('')];
    const warm = createWarmSnapshot(ratios);
    await expectCurrent(warm);
    const client = await database.connect('late');
    await client.query('begin');
    await client.query('update host set enabled = false where id = $1', [early]);
    await changes.disable(db, late);
    await expectCurrent(warm);
    await client.query('commit');
    await client.end();
    await expectCurrent(warm);
  });

  it('reads only what changed, and nothing of a heartbeat', async () => {
    const warm = createWarmSnapshot(ratios);
    await warm.current(db);
    await db.updateTable('host').set({ last_seen_at: new Date(), updated_at: new Date() }).execute();
    let before = (await warm.current(db)).hosts;
    // The server's own transactions may hold the horizon back for a moment; then hosts are read again.
    await expect
      .poll(async () => {
        const same = before === (await warm.current(db)).hosts;
        before = (await warm.current(db)).hosts;
        return same;
      })
      .toBe(true);
    const changed = hostIds[2] ?? as<HostId>('');
    await claimOn(db, changed);
    const after = await warm.current(db);
    expect(after.hosts.filter((host, index) => host !== before[index]).map((host) => host.id)).toEqual([changed]);
    // Equal parts of the facts are one object: filters look at them once.
    expect(new Set(after.hosts.map((host) => host.facts.cpuFeatures)).size).toBe(1);
  });

  it('begins anew when it was not asked for long, after changes were pruned', async () => {
    let nowMs = 0;
    const warm = createWarmSnapshot(ratios, () => nowMs);
    await warm.current(db);
    await changes.disable(db, hostIds[0] ?? as<HostId>(''));
    await sql`update host_change set at = now() - interval '1 day'`.execute(db);
    await pruneHostChanges(db);
    expect(await db.selectFrom('host_change').selectAll().execute()).toEqual([]);
    nowMs = 6 * 60_000;
    await expectCurrent(warm);
  });

  it('goes on after a look that failed', async () => {
    const warm = createWarmSnapshot(ratios);
    await warm.current(db);
    await expect(
      db.transaction().execute(async (tx) => {
        await sql`select 1/0`.execute(tx).catch(() => {});
        await warm.current(tx);
      }),
    ).rejects.toThrow(/aborted/);
    await expectCurrent(warm);
  });
});
