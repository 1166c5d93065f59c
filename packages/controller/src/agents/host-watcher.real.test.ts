import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { fakeFacts, silence } from '../workflows/testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../workflows/testing/fake-cloud.ts';
import type { AgentClient } from './agents.ts';
import { startHostWatcher } from './host-watcher.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

it('hosts that no controller looked at are not called silent by the next one, before it has looked itself', async () => {
  const { db } = database;
  await db
    .updateTable('host')
    .set({ last_seen_at: new Date(Date.now() - 60_000) })
    .execute();
  for (const host of cloud.hosts) host.down = true;
  await cloud.controller('next');
  // Refused thrice means that more than a second has gone by: the look that would have blamed them is over.
  await until(async () => cloud.hosts.every(({ unanswered }) => unanswered >= 4));
  for (const host of cloud.hosts) host.down = false;
  await until(async () => {
    const rows = await db.selectFrom('host').select('last_seen_at').execute();
    return rows.every(({ last_seen_at }) => last_seen_at !== null && Date.now() - last_seen_at.getTime() < 30_000);
  });
  expect((await db.selectFrom('host').select('reachable').execute()).every(({ reachable }) => reachable)).toBe(true);
  expect(await db.selectFrom('event').select('data').where('kind', '=', 'host').execute()).toEqual([]);
});

it("a controller that stood still between a host's answer and its row does not put an older boot back; nor does one without a boot", async () => {
  const { db } = database;
  const [host] = cloud.hosts;
  if (host === undefined) throw new Error('the cloud has no host');
  const boot = async () => (await db.selectFrom('host').select('boot_id').where('id', '=', host.id).executeTakeFirstOrThrow()).boot_id;
  const answers = ['', host.bootId, 'boot-2'];
  let asked = 0;
  const frozen = Promise.withResolvers<void>();
  const client = {
    getHost: async () => {
      const bootId = answers[Math.min(asked++, 2)];
      if (bootId === host.bootId) await frozen.promise;
      return { bootId, factsJson: JSON.stringify({ ...fakeFacts(host.name), agentVersion: String(asked) }) };
    },
    listGuests: async () => ({ bootId: host.bootId, guests: [], migrations: [] }),
    watch: async function* () {},
  } as unknown as AgentClient;
  const watcher = startHostWatcher({
    db,
    agents: { client: async (id) => (id === host.id ? client : Promise.reject(silence())), forget: () => {}, close: async () => {} },
    metrics: createMetrics({ process: false }),
    log: pino({ level: 'silent' }),
    executorId: 'one',
    listener: { onReport: async () => {}, onGuest: async () => {}, onMigration: async () => {} },
  });
  try {
    await until(async () => asked === 2);
    expect(await boot()).toBe(host.bootId);
    // Another controller, meanwhile.
    await db.updateTable('host').set({ boot_id: 'boot-2' }).where('id', '=', host.id).execute();
    frozen.resolve();
    const versions: unknown[] = [];
    await until(async () => {
      const { facts, boot_id } = await db
        .selectFrom('host')
        .select(['facts', 'boot_id'])
        .where('id', '=', host.id)
        .executeTakeFirstOrThrow();
      versions.push((facts as { agentVersion?: string } | null)?.agentVersion);
      expect(boot_id).toBe('boot-2');
      return Number(versions.at(-1)) >= 3;
    });
    // What it had been told in the boot before was never written.
    expect(versions).not.toContain('2');
  } finally {
    frozen.resolve();
    await watcher.stop();
  }
});
