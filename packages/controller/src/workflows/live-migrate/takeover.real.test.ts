import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import type { Engine } from '../engine.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, phase, hostNamed, move, consistent } = liveMoves((fresh) => ({ database, cloud } = fresh));

const points = [
  'phase:accepted',
  'phase:queued',
  'phase:preparing',
  'preparing:granted',
  'preparing:answered',
  'phase:copying',
  'copying:started',
  'phase:switchover',
  'switchover:taken',
  'phase:committing',
  'committing:cleaned',
] as const;

/** What makes a move wait at `phase:queued`: another one that copies over the same link until `free` is called. Any other point is reached without. */
async function ahead(engine: Engine, point: (typeof points)[number]): Promise<{ readonly free: (waiting: string) => Promise<void> }> {
  if (point !== 'phase:queued') return { free: async () => {} };
  const id = await cloud.server(engine, 'node1');
  hostNamed('node1').copyRounds = null;
  const first = await move(engine, id);
  await phase(first, 'copying');
  return {
    free: async (waiting) => {
      expect(await readMove(waiting)).toMatchObject({ phase: 'queued', finished_at: null });
      hostNamed('node1').copyRounds = 1;
      await ended(first);
      expect((await readMove(first)).status).toBe('completed');
      await consistent(id, first);
    },
  };
}

/** Nothing is under way for the server itself. */
const settled = async (serverId: string): Promise<void> =>
  until(async () => {
    const open = await database.db
      .selectFrom('workflow')
      .select('id')
      .where('subject_id', '=', serverId)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    return open === undefined && (await readServer(serverId)).custody.remains.length === 0;
  });

describe('takeover', () => {
  it.each(points)('a controller that freezes at %s is taken over, and does no harm when it wakes', async (point) => {
    let wake = () => {};
    const frozen = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let reached = false;
    let armed = false;
    const first = await cloud.controller('c1', async (name) => {
      if (!armed || name !== point || reached) return;
      reached = true;
      await frozen;
    });
    const id = await cloud.server(first, 'node1');
    const other = await ahead(first, point);
    armed = true;
    const migration = await move(first, id);
    await until(async () => reached);
    // Its process is frozen: no heartbeat. Another one finds it dead.
    await database.db
      .updateTable('executor')
      .set({ heartbeat_at: new Date(0) })
      .where('name', '=', 'c1')
      .execute();
    const second = await cloud.controller('c2');
    await other.free(migration);
    await until(async () => {
      await database.db
        .updateTable('executor')
        .set({ heartbeat_at: new Date(0) })
        .where('name', '=', 'c1')
        .execute();
      return (await readMove(migration)).finished_at !== null;
    });
    // A report of the source that came before its copy was dropped has the server settled once more, behind the move.
    await settled(id);
    const after = await readMove(migration);
    const serverAfter = await readServer(id);
    expect(after.status).toBe('completed');
    await consistent(id, migration);
    wake();
    await until(async () => first.idle());
    expect(await readMove(migration)).toEqual(after);
    expect(await readServer(id)).toEqual(serverAfter);
    await consistent(id, migration);
    await until(async () => second.idle());
  });

  it.each(points)('a controller that dies at %s loses nothing: its successor of the same name finishes at once', async (point) => {
    let died = false;
    let armed = false;
    let bury = () => {};
    const dead = new Promise<never>((_resolve, reject) => {
      bury = () => reject(new Error('killed'));
    });
    dead.catch(() => {});
    const first = await cloud.controller('c1', async (name) => {
      if (!armed || name !== point) return;
      died = true;
      await dead;
    });
    const id = await cloud.server(first, 'node1');
    const other = await ahead(first, point);
    armed = true;
    const migration = await move(first, id);
    await until(async () => died);
    await cloud.controller('c1');
    await other.free(migration);
    await ended(migration);
    expect((await readMove(migration)).status).toBe('completed');
    await consistent(id, migration);
    bury();
  });
});
