import { GuestState } from '@godwit/contract/gen/guest_pb';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, phase, hostNamed, onLocalDisks, move, consistent } = liveMoves(
  (fresh) => ({ database, cloud } = fresh),
);

describe('a live migration', () => {
  it('moves a guest; record, ledger, custody and server agree at the end', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id);
    expect((await readServer(id)).task_state).toBe('migrating');
    await ended(migration);
    const row = await readMove(migration);
    expect(row).toMatchObject({
      status: 'completed',
      phase: 'completed',
      source_host_id: hostNamed('node1').id,
      destination_host_id: hostNamed('node2').id,
      epoch_from: 1,
      epoch_to: 2,
    });
    expect(row.outcome).toMatchObject({ cause: null, runsOn: 'destination', evidence: [] });
    // Stopped 1000 at the source, resumed 1512 at the destination, whose clock is 500 ahead.
    expect(row.measures).toMatchObject({ blackoutMs: 12, ownShareMs: 2, qemuDowntimeMs: 9, clockErrorMs: 0.2 });
    expect(Object.keys(row.phase_durations_ms).toSorted()).toEqual([
      'accepted',
      'committing',
      'copying',
      'preparing',
      'queued',
      'scheduling',
      'switchover',
    ]);
    expect(await readServer(id)).toMatchObject({
      vm_state: 'active',
      power_state: 1,
      host_id: hostNamed('node2').id,
      epoch: 2,
      custody: { remains: [] },
    });
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.SHUTOFF);
    await consistent(id, migration);
    // Why there is told with the action, the hosts that it was not given too.
    const decision = await database.db
      .selectFrom('instance_action_event')
      .innerJoin('instance_action', 'instance_action.id', 'instance_action_event.action_id')
      .select(['instance_action_event.result', 'instance_action_event.details'])
      .where('instance_action.server_id', '=', id)
      .where('event', '=', 'conductor_live_migrate_instance')
      .executeTakeFirstOrThrow();
    expect(decision).toMatchObject({ result: 'Success', details: expect.stringContaining('node2') });
    expect(decision.details).toContain('the server is on this host');
    expect(row.verdicts).toMatchObject({ ranked: [{ host: 'node2', rank: 1 }], passing: 1 });
  });

  it('leaves a paused guest paused', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.pause(cloud.admin, id);
    await until(async () => (await readServer(id)).task_state === null);
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readServer(id)).toMatchObject({ vm_state: 'paused', power_state: 3, host_id: hostNamed('node2').id });
    expect(hostNamed('node2').guests.get(id)?.state).toBe(GuestState.PAUSED);
  });

  it('ends in error NoValidHost for the current host, with nothing changed', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id, 'node1');
    await ended(migration);
    const row = await readMove(migration);
    expect(row).toMatchObject({ status: 'error', destination_host_id: null, outcome: { cause: 'NoValidHost', runsOn: 'source' } });
    expect(row.outcome?.evidence[0]).toContain('node1');
    expect(await readServer(id)).toMatchObject({ vm_state: 'active', host_id: hostNamed('node1').id, epoch: 1, highest_epoch: 1 });
    await consistent(id, migration);
  });

  it('refuses unknown hosts, and below 2.34 contradictions with the storage, before it is accepted', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const ask = (over: object) =>
      engine.operations.liveMigrate(cloud.admin, id, {
        host: null,
        blockMigration: 'auto',
        force: false,
        checksBeforeAnswer: false,
        ...over,
      });
    await expect(ask({ host: 'nowhere' })).rejects.toMatchObject({ code: 'HostNotFound' });
    const early = { checksBeforeAnswer: true };
    await expect(ask({ blockMigration: true, ...early })).rejects.toMatchObject({ code: 'InvalidLocalStorage' });
    await expect(ask({ host: 'node1', ...early })).rejects.toMatchObject({ code: 'SameHost' });
    await onLocalDisks(id);
    await expect(ask({ blockMigration: false, ...early })).rejects.toMatchObject({ code: 'InvalidSharedStorage' });
    expect((await readServer(id)).task_state).toBeNull();
    expect(await database.db.selectFrom('migration').selectAll().execute()).toEqual([]);
  });

  it.each([
    ['shared', true, 'InvalidLocalStorage', 'block migration cannot be used with shared storage'],
    ['local', false, 'InvalidSharedStorage', 'cannot be used without block migration'],
  ] as const)(
    'on %s disks, block_migration %s from 2.34 on ends in error with its cause, and changes nothing',
    async (storage, block, cause, words) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      if (storage === 'local') await onLocalDisks(id);
      const migration = await move(engine, id, null, block);
      await ended(migration);
      const row = await readMove(migration);
      expect(row).toMatchObject({ status: 'error', phase: 'error', destination_host_id: null, outcome: { cause, runsOn: 'source' } });
      expect(row.outcome?.sentence).toContain(words);
      expect(await readServer(id)).toMatchObject({ vm_state: 'active', host_id: hostNamed('node1').id, epoch: 1, highest_epoch: 1 });
      await consistent(id, migration);
    },
  );

  it('waits for its turn on the links and can be cancelled while it waits', async () => {
    const engine = await cloud.controller('c1');
    const [first, second] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node1')];
    hostNamed('node1').copyRounds = null;
    const one = await move(engine, first);
    await phase(one, 'copying');
    const two = await move(engine, second, 'node3');
    await phase(two, 'queued');
    await engine.operations.abortMigration(cloud.admin, two);
    await ended(two);
    expect(await readMove(two)).toMatchObject({ status: 'cancelled', outcome: { cause: 'CancelledByOperator', runsOn: 'source' } });
    await consistent(second, two);
    const three = await move(engine, second, 'node3');
    await phase(three, 'queued');
    hostNamed('node1').copyRounds = 1;
    await Promise.all([ended(one), ended(three)]);
    expect((await readMove(three)).status).toBe('completed');
  });

  it('is cancelled while it copies: the guest stays, the destination has forfeited', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await phase(migration, 'copying');
    await until(async () => hostNamed('node1').moves.has(migration));
    await engine.operations.abortMigration(cloud.admin, migration);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'cancelled', outcome: { cause: 'CancelledByOperator', runsOn: 'source' } });
    expect(hostNamed('node2').moves.get(migration)?.state).toBe('forfeited');
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.RUNNING);
    await consistent(id, migration);
  });

  it('is undone by a delete during the copy', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await phase(migration, 'copying');
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await readServer(id)).deleted_at !== null);
    expect(await readMove(migration)).toMatchObject({ status: 'cancelled', outcome: { cause: 'ServerDeleted', runsOn: 'nowhere' } });
    expect(cloud.hosts.flatMap((host) => [...host.guests.values()]).every((guest) => guest.state === GuestState.SHUTOFF)).toBe(true);
    expect(await database.db.selectFrom('allocation').selectAll().execute()).toEqual([]);
  });
});
