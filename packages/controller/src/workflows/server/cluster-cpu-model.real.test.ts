import { afterAll, beforeAll, expect, it, vi } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { fakeFacts } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud } from '../testing/fake-cloud.ts';
import { wireGuest } from './wire-guest.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
  database = await postgres.database();
  cloud = await fakeCloud(database);
}, 60_000);
afterAll(async () => {
  await cloud?.stop();
  await database?.close();
  await postgres.stop();
}, 60_000);

it('a guest that starts for the first time gets the richest CPU model that all hosts run, down or not; simulated hosts have no say', async () => {
  const id = await cloud.server(await cloud.controller('c1'), 'node1');
  // From here on nobody asks the hosts, whose facts are set below.
  await cloud.stop();
  const models = { node1: ['EPYC-Rome-v2', 'Haswell-v4', 'Nehalem-v1'], node2: ['Haswell-v4', 'Nehalem-v1'], node3: [] as string[] };
  for (const [name, cpuModels] of Object.entries(models)) {
    const facts = { ...fakeFacts(name), cpuModels, accelerator: name === 'node3' ? 'simulated' : 'kvm' };
    await database.db
      .updateTable('host')
      .set({ facts: JSON.stringify(facts), reachable: name !== 'node2' })
      .where('name', '=', name)
      .execute();
  }
  const later = Date.now() + 60_000;
  const clock = vi.spyOn(Date, 'now').mockReturnValue(later);
  try {
    await database.db.updateTable('server').set({ cpu_model: null }).where('id', '=', id).execute();
    expect((await wireGuest(database.db, id)).cpuModel).toBe('Haswell-v4');
    await database.db.updateTable('server').set({ cpu_model: 'Nehalem-v1' }).where('id', '=', id).execute();
    expect((await wireGuest(database.db, id)).cpuModel).toBe('Nehalem-v1');
  } finally {
    clock.mockRestore();
  }
});
