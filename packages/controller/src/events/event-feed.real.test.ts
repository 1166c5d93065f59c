import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { visible } from '../api/godwit/events.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { type EventFeed, type StoredEvent, startEventFeed } from './event-feed.ts';
import { recordEvent } from './record-event.ts';

let postgres: TestServer;
let database: Database;
let feed: EventFeed;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  feed = await startEventFeed(database, pino({ level: 'silent' }));
});
afterEach(async () => {
  await feed.close();
  await database.close();
});

const event = (name: string) => ({
  kind: 'server' as const,
  subjectId: randomUUID(),
  projectId: 'p1',
  data: { name, admin: { host: 'node1' } },
});

/** Reads until `count` events came; throws after 20 s: a transaction of another test's database holds the stream of the whole server back. */
async function collect(cursor: string | null, count: number, started?: () => void): Promise<StoredEvent[]> {
  const stop = new AbortController();
  const timer = setTimeout(() => stop.abort(), 20_000);
  const seen: StoredEvent[] = [];
  const reading = (async () => {
    for await (const one of feed.read(cursor, stop.signal)) {
      seen.push(one);
      if (seen.length === count) break;
    }
  })();
  started?.();
  await reading;
  clearTimeout(timer);
  if (seen.length !== count) throw new Error(`${seen.length} events came, not ${count}`);
  return seen;
}
const names = (events: readonly StoredEvent[]) => events.map((one) => one.data.name);

describe('the event feed', () => {
  it('tells what is committed, in order, and nothing of what is rolled back', async () => {
    const reading = collect('0-0', 2);
    await database.db.transaction().execute(async (tx) => recordEvent(tx, event('a')));
    await database.db
      .transaction()
      .execute(async (tx) => {
        await recordEvent(tx, event('never'));
        throw new Error('rolled back');
      })
      .catch(() => {});
    await recordEvent(database.db, event('b'));
    expect(names(await reading)).toEqual(['a', 'b']);
  });

  it('goes on where a reader stopped', async () => {
    for (const name of ['a', 'b', 'c']) await recordEvent(database.db, event(name));
    const [first] = await collect('0-0', 3);
    expect(names(await collect(first?.cursor ?? null, 2))).toEqual(['b', 'c']);
  });

  it('counts transactions, where their numbers get one digit more', async () => {
    // All these are past: the server has used hundreds before it made the database.
    for (const [xid, name] of [
      ['100', 'c'],
      ['9', 'a'],
      ['99', 'b'],
    ] as const) {
      const { kind, subjectId, projectId, data } = event(name);
      await sql`insert into event (xid, kind, subject_id, project_id, data) values (${xid}::xid8, ${kind}, ${subjectId}, ${projectId}, ${JSON.stringify(data)})`.execute(
        database.db,
      );
    }
    const [first, ...others] = await collect('0-0', 3);
    expect(names([...(first === undefined ? [] : [first]), ...others])).toEqual(['a', 'b', 'c']);
    expect(names(await collect(first?.cursor ?? null, 2))).toEqual(['b', 'c']);
  });

  it('loses no event whose transaction took its number earlier and committed later', async () => {
    const client = await database.connect('late');
    await client.query('begin');
    await client.query('insert into event (kind, subject_id, data) values (\'server\', gen_random_uuid(), \'{"name":"early number"}\')');
    const reading = collect('0-0', 2);
    await recordEvent(database.db, event('late number'));
    await client.query('commit');
    await client.end();
    expect(names(await reading)).toEqual(['early number', 'late number']);
  });

  it('reads on after its listening connection was ended', async () => {
    const { rowCount } = await database.pool.query(
      "select pg_terminate_backend(pid) from pg_stat_activity where application_name = 'godwit events' and datname = current_database()",
    );
    expect(rowCount).toBe(1);
    const reading = collect('0-0', 1);
    await recordEvent(database.db, event('a'));
    expect(names(await reading)).toEqual(['a']);
  });
});

describe('visible', () => {
  const stored: StoredEvent = {
    cursor: '7-1',
    kind: 'server',
    subjectId: 's',
    projectId: 'p1',
    data: { name: 'a', admin: { host: 'node1' } },
    at: new Date(0),
  };
  it("keeps other projects' events and host names from members", () => {
    expect(visible(stored, { isAdmin: false, projectId: 'p2' })).toBeNull();
    expect(visible({ ...stored, projectId: null }, { isAdmin: false, projectId: '' })).toBeNull();
    expect(visible(stored, { isAdmin: false, projectId: 'p1' })).toBe(
      'id: 7-1\nevent: server\ndata: {"name":"a","at":"1970-01-01T00:00:00.000Z"}\n\n',
    );
    expect(visible(stored, { isAdmin: true, projectId: '' })).toContain('"host":"node1"');
  });
});
