import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import type { Database, Db } from '../../store/database.ts';
import { confirmOverdue } from '../accept/confirm-resize.ts';
import { acceptDelete } from '../accept/delete-server.ts';
import type { NewWorkflow } from '../port.ts';
import { coldMoves } from '../testing/cold-moves.ts';
import { runningCopies } from '../testing/fake-agents.ts';
import { answerAgain, type FakeCloud, fallSilent, until } from '../testing/fake-cloud.ts';

let database: Database;
let cloud: FakeCloud;
const { server, record, host, status, idle, ledger, migrate, confirm, revert, started, moved, consistent, events } = coldMoves(
  (fresh) => ({ database, cloud } = fresh),
);

describe('a cold migration', () => {
  it('waits with both sides held, and is final when confirmed', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', task_state: null, power_state: 1, host_id: host('node2').id, epoch: 2 });
    expect(await ledger(id)).toMatchObject([
      { consumer_id: migration, consumer_type: 'migration', host_id: host('node1').id },
      { consumer_id: id, consumer_type: 'server', host_id: host('node2').id },
    ]);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    expect(await record(migration)).toMatchObject({
      type: 'migration',
      phase: 'confirmed',
      epoch_from: 1,
      epoch_to: 2,
      outcome: { cause: null, runsOn: 'destination' },
    });
    expect((await record(migration)).timeline.filter((one) => one.what === 'phase').map((one) => one.detail)).toEqual([
      'accepted',
      'preparing',
      'stopping',
      'copying-disks',
      'starting',
      'finished',
      'confirming',
      'confirmed',
    ]);
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node2').id });
    await consistent(id);
    expect(await events(id)).toEqual([
      { action: 'migrate', event: 'conductor_migrate_server', result: 'Success' },
      { action: 'migrate', event: 'compute_prep_resize', result: 'Success' },
      { action: 'migrate', event: 'compute_resize_instance', result: 'Success' },
      { action: 'migrate', event: 'compute_finish_resize', result: 'Success' },
      { action: 'confirmResize', event: 'compute_confirm_resize', result: 'Success' },
    ]);
  });

  it('of a stopped server starts nothing, either way', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine, true);
    expect(started()).toBe(1);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', power_state: 4, host_id: host('node2').id });
    await revert(engine, id);
    await status(migration, 'reverted');
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, host_id: host('node1').id });
    const again = await migrate(engine, id);
    await status(again, 'finished');
    await confirm(engine, id);
    await status(again, 'confirmed');
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, host_id: host('node2').id });
    expect(started()).toBe(1);
    await consistent(id);
  });

  it('reverted runs at its source again, under a new epoch', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    await revert(engine, id);
    expect((await server(id)).task_state).toBe('resize_reverting');
    await status(migration, 'reverted');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, epoch: 3 });
    expect(host('node2').guests.get(id)?.state).toBe(GuestState.SHUTOFF);
    await consistent(id);
    expect((await events(id)).slice(4)).toEqual([
      { action: 'revertResize', event: 'compute_revert_resize', result: 'Success' },
      { action: 'revertResize', event: 'compute_finish_revert_resize', result: 'Success' },
    ]);
  });

  it('without a host ends in error, the guest untouched, the fault in the API’s words', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await database.db.updateTable('host').set({ enabled: false, disabled_reason: 'maintenance' }).where('name', '<>', 'node1').execute();
    const migration = await migrate(engine, id, null);
    await status(migration, 'error');
    expect(await record(migration)).toMatchObject({ destination_host_id: null, outcome: { cause: 'NoValidHost', runsOn: 'source' } });
    expect((await record(migration)).outcome?.evidence[0]).toContain('maintenance');
    expect(await server(id)).toMatchObject({
      vm_state: 'active',
      host_id: host('node1').id,
      epoch: 1,
      fault: { message: 'No valid host was found. No valid host found for cold migrate' },
    });
    await consistent(id);
    expect(host('node1').calls.some(({ call }) => call === 'stopGuest')).toBe(false);
  });

  it('keeps the rules of its group, also towards a named host', async () => {
    const engine = await cloud.controller('c1');
    const [one, other] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node2')];
    const { id: group } = await database.db
      .insertInto('server_group')
      .values({
        id: '6a1c1c0e-0000-4000-8000-000000000001',
        name: 'apart',
        policy: 'anti-affinity',
        max_server_per_host: null,
        project_id: 'p1',
        user_id: 'u',
        deleted_at: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    for (const id of [one, other]) await database.db.insertInto('server_group_member').values({ group_id: group, server_id: id }).execute();
    const refused = await migrate(engine, one, 'node2');
    await status(refused, 'error');
    expect((await record(refused)).outcome).toMatchObject({ cause: 'NoValidHost' });
    const chosen = await migrate(engine, one, null);
    await status(chosen, 'finished');
    expect((await server(one)).host_id).toBe(host('node3').id);
    // Both sides are held: the other member can go to neither.
    const second = await migrate(engine, other, null);
    await status(second, 'error');
    await consistent(other);
  });

  it('two of a group that race for the one host left never share it', async () => {
    const engines = [await cloud.controller('c1'), await cloud.controller('c2')];
    const first = engines[0];
    if (first === undefined) throw new Error('no controller');
    const ids = [await cloud.server(first, 'node1'), await cloud.server(first, 'node2')];
    await database.db
      .insertInto('server_group')
      .values({
        id: '6a1c1c0e-0000-4000-8000-000000000002',
        name: 'apart',
        policy: 'anti-affinity',
        max_server_per_host: null,
        project_id: 'p1',
        user_id: 'u',
        deleted_at: null,
      })
      .execute();
    for (const id of ids)
      await database.db
        .insertInto('server_group_member')
        .values({ group_id: '6a1c1c0e-0000-4000-8000-000000000002', server_id: id })
        .execute();
    for (let round = 0; round < 3; round++) {
      const moves = await Promise.all(ids.map((id, index) => migrate(engines[index] ?? first, id, null)));
      for (const move of moves) await status(move, 'finished', 'error');
      const ends = await Promise.all(moves.map(async (move) => (await record(move)).status));
      expect(ends.toSorted()).toEqual(['error', 'finished']);
      const hosts = await Promise.all(ids.map(async (id) => (await server(id)).host_id));
      expect(new Set(hosts).size).toBe(2);
      const winner = ids[ends.indexOf('finished')];
      if (winner === undefined) throw new Error('nobody moved');
      await revert(first, winner);
      await idle(winner);
    }
  });

  it('refuses hosts, states and answers that cannot be, and changes nothing', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await expect(migrate(engine, id, 'nowhere')).rejects.toMatchObject({ code: 'HostNotFound' });
    await expect(migrate(engine, id, 'node1')).rejects.toMatchObject({ code: 'SameHost' });
    await expect(confirm(engine, id)).rejects.toMatchObject({ code: 'InvalidState' });
    await fallSilent(database, host('node1'));
    await expect(migrate(engine, id)).rejects.toMatchObject({ code: 'SourceServiceDown' });
    expect((await server(id)).task_state).toBeNull();
    expect(await database.db.selectFrom('migration').selectAll().execute()).toEqual([]);
    await database.db.updateTable('server').set({ vm_state: 'resized' }).where('id', '=', id).execute();
    await expect(confirm(engine, id)).rejects.toMatchObject({ code: 'BadRequest', message: 'Instance has not been resized.' });
    await expect(revert(engine, id)).rejects.toMatchObject({ code: 'BadRequest' });
  });

  it('is not reverted while its source is down; a second answer is refused', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    await fallSilent(database, host('node1'));
    await expect(revert(engine, id)).rejects.toMatchObject({ code: 'SourceServiceDown' });
    expect(await server(id)).toMatchObject({ vm_state: 'resized', task_state: null });
    await answerAgain(database, host('node1'));
    await confirm(engine, id);
    await expect(confirm(engine, id)).rejects.toMatchObject({ code: expect.stringMatching(/BadRequest|InvalidState/) });
    await status(migration, 'confirmed');
  });

  it('is confirmed by a delete', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await server(id)).deleted_at !== null);
    expect(await record(migration)).toMatchObject({ status: 'confirmed', outcome: { cause: null, runsOn: 'nowhere' } });
    expect(await ledger(id)).toEqual([]);
    expect(runningCopies(cloud.hosts, id)).toBe(0);
  });

  it('that is being confirmed is deleted all the same when that is asked for just before its end', async () => {
    // Enqueued without a word to anybody: nobody takes it up before the confirmation has ended.
    const enqueue = async (tx: Db, { kind, subjectId, input }: NewWorkflow) =>
      void (await tx
        .insertInto('workflow')
        .values({ kind, subject_id: subjectId, input: JSON.stringify(input ?? {}) } as never)
        .execute());
    let deleted = '';
    const engine = await cloud.controller('c1', async (point) => {
      if (point !== 'cold:cleared' || deleted === '') return;
      const id = as<ServerId>(deleted);
      deleted = '';
      await acceptDelete(database.db, { enqueue } as never, cloud.admin, id);
    });
    const { id, migration } = await moved(engine);
    deleted = id;
    await engine.operations.confirmResize(cloud.admin, id);
    await until(async () => (await server(id)).deleted_at !== null);
    expect(await record(migration)).toMatchObject({ status: 'confirmed' });
    expect(await ledger(id)).toEqual([]);
    expect(runningCopies(cloud.hosts, id)).toBe(0);
  });

  it('is confirmed by the clock when the window is over', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    const workflows = {
      enqueue: async (tx: typeof database.db, { kind, subjectId, input }: { kind: string; subjectId: string; input?: object }) =>
        void (await tx
          .insertInto('workflow')
          .values({ kind, subject_id: subjectId, input: JSON.stringify(input ?? {}) } as never)
          .execute()),
      wake: async () => {},
      start: async () => {},
      stop: async () => {},
    };
    expect(await confirmOverdue(database.db, workflows as never, 60_000)).toEqual([]);
    await sql`update migration set updated_at = now() - interval '2 minutes' where id = ${migration}`.execute(database.db);
    expect(await confirmOverdue(database.db, workflows as never, 60_000)).toEqual([id]);
    await status(migration, 'confirmed');
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('is confirmed by a controller whose configuration says after how many seconds, by none that says 0', async () => {
    const { id, migration } = await moved(await cloud.controller('c1'));
    const waitingSince = (await record(migration)).updated_at?.getTime() ?? Number.NaN;
    await cloud.controller('c2', undefined, undefined, undefined, 1);
    await status(migration, 'confirmed');
    expect(Date.now() - waitingSince).toBeGreaterThanOrEqual(1_000);
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('whose guest powered itself off while it waited is SHUTOFF when confirmed', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    // Told by its host: the row alone would be put right again at the host's next report.
    Object.assign(host('node2').guests.get(id) ?? {}, { state: GuestState.SHUTOFF });
    await until(async () => (await server(id)).power_state === 4);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    expect((await server(id)).vm_state).toBe('stopped');
  });
});
