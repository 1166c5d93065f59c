import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { refusal } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, hostNamed, onLocalDisks, move, consistent } = liveMoves((fresh) => ({ database, cloud } = fresh));

describe('the disks at the side that the guest does not live on', () => {
  it("copies local disks, and deletes the source's when the guest was seen alive", async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', source_disks_left: false });
    expect(hostNamed('node1').policies.at(-1)).toMatchObject({ blockMigration: true, localDiskIds: [disk] });
    expect(hostNamed('node1').deletedDisks).toEqual([disk]);
    await consistent(id, migration);
  });

  it('keeps the disks at a source when the guest was not seen alive, and deletes them when that host is heard of again', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const { faults } = hostNamed('node2');
    faults.push({ call: 'finishIncoming', when: 'before', error: refusal('MigrationNotFound', 'this host has forgotten') });
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { runsOn: 'destination' } });
    await until(async () => !(await readMove(migration)).source_disks_left);
    expect(hostNamed('node1').deletedDisks).toEqual([disk]);
    // First its copy, in the move; its disks only when the source had reported again.
    expect(hostNamed('node1').calls.filter(({ call }) => call === 'dropOutgoing')).toHaveLength(2);
    await consistent(id, migration);
  });

  it.each([
    ['the guest stays', 'node2', 'source'],
    ['the guest goes to another', null, 'destination'],
  ])(
    'a destination that has booted again while local disks were copied to it: %s, and what was copied is deleted there',
    async (_how, to, runsOn) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      const [disk] = await onLocalDisks(id);
      const source = hostNamed('node1');
      source.copyRounds = null;
      const migration = await move(engine, id, to);
      await until(async () => source.moves.has(migration));
      const destination = hostNamed(hostNamed('node2').moves.has(migration) ? 'node2' : 'node3');
      destination.bootId = 'the boot after';
      destination.guests.clear();
      source.copyRounds = 1;
      Object.assign(source.moves.get(migration) ?? {}, { state: 'failed', cause: 'DestinationDown' });
      await ended(migration);
      expect(await readMove(migration)).toMatchObject({ outcome: { runsOn } });
      await until(async () => (await readMove(migration)).disks_left_at.length === 0);
      expect([destination.deletedDisks, source.deletedDisks]).toEqual([[disk], to === null ? [disk] : []]);
      await consistent(id, migration);
    },
  );

  it('a destination that is fenced while local disks are copied to it: the guest stays, and what was copied is remembered for when that host is back', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await onLocalDisks(id);
    const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
    source.copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => source.moves.has(migration));
    destination.down = true;
    const last_seen_at = new Date(Date.now() - 60_000);
    await database.db.updateTable('host').set({ reachable: false, last_seen_at }).where('id', '=', destination.id).execute();
    await engine.operations.fenceHost(cloud.admin, 'node2');
    Object.assign(source.moves.get(migration) ?? {}, { state: 'failed', cause: 'DestinationDown' });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ outcome: { runsOn: 'source' }, disks_left_at: [destination.id] });
    await consistent(id, migration);
  });

  it.each(['released', 'lost'])(
    'a destination that was fenced before anybody heard whether the source had released: it is %s there, and the disks at the destination are not noted to be deleted',
    async (state) => {
      let migration = '';
      const noted: (readonly string[])[] = [];
      const engine = await cloud.controller('c1', async (name) => {
        if (name === 'give-up:decided') Object.assign(hostNamed('node1').moves.get(migration) ?? {}, { state });
        if (name === 'settle:disarm') noted.push((await readMove(migration)).disks_left_at);
      });
      const id = await cloud.server(engine, 'node1');
      await onLocalDisks(id);
      const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
      source.copyRounds = null;
      migration = await move(engine, id);
      await until(async () => source.moves.has(migration));
      destination.down = true;
      const last_seen_at = new Date(Date.now() - 60_000);
      await database.db.updateTable('host').set({ reachable: false, last_seen_at }).where('id', '=', destination.id).execute();
      await engine.operations.fenceHost(cloud.admin, 'node2');
      await database.db.updateTable('migration').set({ abort_requested_at: new Date() }).where('id', '=', migration).execute();
      await ended(migration, 30_000);
      // Nor were they before: nobody knew it then.
      expect(noted).toEqual([[]]);
      expect(await readMove(migration)).toMatchObject({ outcome: { runsOn: 'nowhere' }, disks_left_at: [] });
      expect((await readServer(id)).custody.holder).toEqual({ kind: 'nowhere' });
      await consistent(id, migration);
    },
    60_000,
  );

  it('an order to delete what a move has left at a host is not sent any more when a new move has begun', async () => {
    const [node2, node3] = [hostNamed('node2'), hostNamed('node3')];
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'copied-disks:deleting') return;
      reached.resolve();
      await goOn.promise;
    });
    const id = await cloud.server(engine, 'node1');
    await onLocalDisks(id);
    const first = await move(engine, id, 'node3');
    await ended(first);
    node3.copyRounds = null;
    await database.db
      .updateTable('migration')
      .set({ disks_left_at: [node2.id] })
      .where('id', '=', first)
      .execute();
    await reached.promise;
    const settlings = () =>
      database.db.selectFrom('workflow').selectAll().where('subject_id', '=', id).where('kind', '=', 'settle-server').execute();
    const waiting = (await settlings()).filter(({ finished_at }) => finished_at === null).map((one) => one.id);
    const second = await move(engine, id, 'node2');
    goOn.resolve();
    // It is handed back, or has done its work.
    await until(async () => (await settlings()).some((one) => waiting.includes(one.id) && (one.finished_at !== null || one.attempts > 1)));
    expect(node2.calls.filter(({ call }) => call === 'dropOutgoing')).toEqual([]);
    node3.copyRounds = 1;
    await ended(second);
    await until(async () => (await readMove(first)).disks_left_at.length === 0);
    expect([(await readMove(second)).status, node2.deletedDisks]).toEqual(['completed', []]);
    await consistent(id, second);
  });

  it('what a move has left at a host is no leftover any more when the guest is taken there', async () => {
    let first = '';
    const left: unknown[] = [];
    const engine = await cloud.controller('c1', async (name) => {
      if (first === '') return;
      // While a move goes on nobody else looks at it.
      if (name === 'phase:copying')
        await database.db
          .updateTable('migration')
          .set({ disks_left_at: [hostNamed('node2').id, hostNamed('node1').id], source_disks_left: true })
          .where('id', '=', first)
          .execute();
      if (name !== 'phase:committing') return;
      const { disks_left_at, source_disks_left } = await readMove(first);
      left.push(disks_left_at, source_disks_left);
    });
    const id = await cloud.server(engine, 'node1');
    const before = await move(engine, id, 'node3');
    await ended(before);
    first = before;
    await ended(await move(engine, id, 'node1'));
    expect(left).toEqual([[hostNamed('node2').id], false]);
  });

  it('the disks of a deleted server that a move has left at a host which does not answer are deleted when it does', async () => {
    const node2 = hostNamed('node2');
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const migration = await move(engine, id, 'node3');
    await ended(migration);
    node2.down = true;
    await database.db
      .updateTable('migration')
      .set({ disks_left_at: [node2.id] })
      .where('id', '=', migration)
      .execute();
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await readServer(id)).deleted_at !== null);
    const { deleted_at: deletedAt } = await readServer(id);
    // Where it was has it settled once more whenever that host is heard of: what is left elsewhere is not forgotten by it.
    await until(async () => {
      const settled = database.db.selectFrom('workflow').select('id').where('subject_id', '=', id).where('kind', '=', 'settle-server');
      return (await settled.where('created_at', '>', deletedAt).where('finished_at', 'is not', null).execute()).length > 0;
    });
    node2.down = false;
    await until(async () => (await readMove(migration)).disks_left_at.length === 0);
    expect(node2.deletedDisks).toEqual([disk]);
    await until(async () => (await database.db.selectFrom('disk').select('id').where('server_id', '=', id).execute()).length === 0);
  });
});
