import { afterAll, afterEach, beforeAll, beforeEach } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { type FakeCloud, fakeCloud } from './fake-cloud.ts';

export type FreshCloud = { readonly database: Database; readonly cloud: FakeCloud };

/** For one file of tests: before each of them a fresh database and a cloud of fake hosts, of which `begins` is told, and after it their end. `heartbeatMs`: as a fake cloud's. */
export function freshCloud(begins: (fresh: FreshCloud) => void, heartbeatMs?: number): void {
  let postgres: TestServer;
  let fresh: FreshCloud;
  beforeAll(async () => {
    postgres = await startTestServer();
  }, 60_000);
  afterAll(() => postgres.stop(), 60_000);
  beforeEach(async () => {
    const database = await postgres.database();
    fresh = { database, cloud: await fakeCloud(database, undefined, undefined, undefined, heartbeatMs) };
    begins(fresh);
  });
  afterEach(async () => {
    await fresh.cloud.stop();
    await fresh.database.close();
  });
}
