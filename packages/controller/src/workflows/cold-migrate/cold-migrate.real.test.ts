import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { confirmOverdue } from '../accept/confirm-resize.ts';
import { acceptDelete } from '../accept/delete-server.ts';
import type { Engine } from '../engine.ts';
import type { NewWorkflow } from '../port.ts';
import { refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import { answerAgain, type FakeCloud, fakeCloud, fallSilent, until } from '../testing/fake-cloud.ts';

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

const server = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const record = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const host = (name: string) => {
  const found = cloud.hosts.find((one) => one.name === name);
  if (found === undefined) throw new Error(name);
  return found;
};
const status = (id: string, ...wanted: readonly string[]) => until(async () => wanted.includes((await record(id)).status));
const idle = (id: string) => until(async () => (await server(id)).task_state === null);
const ledger = (id: string) =>
  database.db
    .selectFrom('allocation')
    .select(['consumer_id', 'consumer_type', 'host_id', 'ram_mib'])
    .where('server_id', '=', id)
    .orderBy('consumer_type')
    .execute();
const migrate = (engine: Engine, id: ServerId, name: string | null = 'node2') =>
  engine.operations.migrate({ ...cloud.admin, requestId: 'req-move' }, id, { host: name });
const confirm = (engine: Engine, id: ServerId) => engine.operations.confirmResize({ ...cloud.admin, requestId: 'req-confirm' }, id);
const revert = (engine: Engine, id: ServerId) => engine.operations.revertResize({ ...cloud.admin, requestId: 'req-revert' }, id);
const started = () => cloud.hosts.flatMap((one) => one.calls.filter(({ call }) => call === 'startGuest')).length;

/** A server on node1 that was moved to node2 and waits. */
async function moved(engine: Engine, stopped = false): Promise<{ id: ServerId; migration: MigrationId }> {
  const id = await cloud.server(engine, 'node1');
  if (stopped) {
    await engine.operations.stop(cloud.admin, id);
    await idle(id);
  }
  const migration = await migrate(engine, id);
  await status(migration, 'finished', 'error');
  expect((await record(migration)).outcome).toBeNull();
  return { id, migration };
}

/** What must hold whenever a move has ended. */
async function consistent(id: string): Promise<void> {
  const now = await server(id);
  expect(now.task_state).toBeNull();
  expect(now.custody.operation).toBeNull();
  expect(runningCopies(cloud.hosts, id)).toBe(now.vm_state === 'active' ? 1 : 0);
  expect(await ledger(id)).toMatchObject([{ consumer_id: id, consumer_type: 'server', host_id: now.host_id }]);
  if (now.custody.holder.kind === 'host') expect(now.custody.holder.hostId).toBe(now.host_id);
}

async function events(id: string): Promise<readonly { action: string; event: string | null; result: string | null }[]> {
  return database.db
    .selectFrom('instance_action')
    .leftJoin('instance_action_event as e', 'e.action_id', 'instance_action.id')
    .select(['instance_action.action', 'e.event', 'e.result'])
    .where('instance_action.server_id', '=', id)
    .where('instance_action.action', 'not in', ['create', 'stop'])
    .orderBy('e.id')
    .execute();
}

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

describe('a resize', () => {
  const flavor = (id: string, values: { ram_mib?: number; disk_gib?: number; specs?: object }) =>
    database.db
      .insertInto('flavor')
      .values({
        id,
        name: id,
        vcpus: 1,
        ram_mib: values.ram_mib ?? 1024,
        disk_gib: values.disk_gib ?? 2,
        extra_specs: JSON.stringify(values.specs ?? {}),
      })
      .execute();
  const resize = (engine: Engine, id: ServerId, flavorId: string) =>
    engine.operations.resize({ ...cloud.admin, requestId: 'req-resize' }, id, { flavorId });
  const disk = async (id: string) =>
    (await database.db.selectFrom('disk').select('size_bytes').where('server_id', '=', id).executeTakeFirstOrThrow()).size_bytes;

  it('gives the new flavor and the larger disk; reverted, the old flavor comes back and the disk stays', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('f2', {});
    const migration = await resize(engine, id, 'f2');
    await status(migration, 'finished');
    expect(await record(migration)).toMatchObject({ type: 'resize', old_flavor_id: 'f1', new_flavor_id: 'f2' });
    expect(await server(id)).toMatchObject({ vm_state: 'resized', flavor_id: 'f2', flavor: { ram_mib: 1024, disk_gib: 2 } });
    expect(await disk(id)).toBe(2 * 2 ** 30);
    expect((await ledger(id)).map((one) => one.ram_mib)).toEqual([512, 1024]);
    await revert(engine, id);
    await status(migration, 'reverted');
    expect(await server(id)).toMatchObject({
      vm_state: 'active',
      flavor_id: 'f1',
      flavor: { ram_mib: 512, disk_gib: 1 },
      host_id: host('node1').id,
    });
    expect(await disk(id)).toBe(2 * 2 ** 30);
    expect((await ledger(id)).map((one) => one.ram_mib)).toEqual([512]);
    await consistent(id);
    const again = await resize(engine, id, 'f2');
    await status(again, 'finished');
    await confirm(engine, id);
    await status(again, 'confirmed');
    expect((await server(id)).flavor_id).toBe('f2');
    await consistent(id);
  });

  it('never makes a disk smaller, nor changes the kind of host or storage', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('zero', { disk_gib: 0 });
    await flavor('metal', { specs: { 'capabilities:hypervisor_type': 'ironic' } });
    await flavor('local', { specs: { 'godwit:storage': 'local' } });
    await database.db.updateTable('server').set({ flavor: sql`jsonb_set(flavor, '{disk_gib}', '4')` }).where('id', '=', id).execute();
    await flavor('small', { disk_gib: 3 });
    for (const wanted of ['nowhere', 'f1', 'zero', 'metal', 'local', 'small'])
      await expect(resize(engine, id, wanted)).rejects.toMatchObject({ code: 'BadRequest' });
    expect(await database.db.selectFrom('migration').selectAll().execute()).toEqual([]);
  });

  it('too large for every host says so, and keeps the flavor', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await flavor('huge', { ram_mib: 1_000_000 });
    const migration = await resize(engine, id, 'huge');
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({
      vm_state: 'active',
      flavor_id: 'f1',
      fault: { message: 'No valid host was found. No valid host found for resize' },
    });
    await consistent(id);
  });
});

describe('local disks', () => {
  const local = async (engine: Engine): Promise<ServerId> => {
    const id = await cloud.server(engine, 'node1');
    await database.db.updateTable('disk').set({ storage: 'local', pool: 'local' }).where('server_id', '=', id).execute();
    return id;
  };
  const calls = (name: string, call: string) => host(name).calls.filter((one) => one.call === call).length;

  it('are copied while nothing runs, and deleted at the source when confirmed', async () => {
    const engine = await cloud.controller('c1', (name) => {
      if (name === 'cold:copied')
        expect(cloud.hosts.every((one) => [...one.guests.values()].every((guest) => guest.state === GuestState.SHUTOFF))).toBe(true);
    });
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished', 'error');
    expect(await record(migration)).toMatchObject({
      status: 'finished',
      disk_total_bytes: 4096,
      disk_processed_bytes: 4096,
      disk_remaining_bytes: 0,
    });
    expect([calls('node1', 'offerDisks'), calls('node2', 'fetchDisks'), calls('node1', 'destroyGuest')]).toEqual([1, 1, 0]);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    expect(calls('node1', 'destroyGuest')).toBe(1);
    await consistent(id);
  });

  it('are copied back by a revert', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    expect([calls('node2', 'offerDisks'), calls('node1', 'fetchDisks'), calls('node2', 'destroyGuest')]).toEqual([1, 1, 1]);
    await consistent(id);
  });

  it('without room at the destination stay, and the guest runs on at its source', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    host('node2').faults.push({ call: 'fetchDisks', when: 'before', error: refusal('NoSpace', 'no room') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'NoSpace', runsOn: 'source' });
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id });
    await consistent(id);
  });

  it('that cannot be copied back leave the server at the destination, running, to be reverted again', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished');
    host('node1').faults.push({ call: 'fetchDisks', when: 'before', error: refusal('NoSpace', 'no room') });
    await revert(engine, id);
    await idle(id);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', power_state: 1, host_id: host('node2').id });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    await revert(engine, id);
    await status(migration, 'reverted');
    await consistent(id);
  });

  it('are copied again when the connection breaks', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    for (const call of ['offerDisks', 'fetchDisks'] as const)
      for (const one of cloud.hosts) one.faults.push({ call, when: 'before', error: silence() });
    const migration = await migrate(engine, id);
    await status(migration, 'finished', 'error');
    expect((await record(migration)).status).toBe('finished');
    expect(calls('node2', 'fetchDisks')).toBe(2);
  });
});

describe('faults', () => {
  it('a destination that does not answer is replaced while nothing has changed; a named one is not', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node2').down = true;
    const migration = await migrate(engine, id, null);
    await status(migration, 'finished');
    expect((await server(id)).host_id).toBe(host('node3').id);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    await consistent(id);
    const named = await migrate(engine, id, 'node2');
    await status(named, 'error');
    expect((await record(named)).outcome).toMatchObject({ cause: 'DestinationDown', runsOn: 'source' });
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('a guest that cannot be stopped stays where it is', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node1').faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'no') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, epoch: 1 });
    await consistent(id);
  });

  it('a start that fails at the destination brings the guest back to its source, running, with its flavor', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node2').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no such CPU') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({
      cause: 'StartFailed',
      runsOn: 'source',
      evidence: ['GuestStartFailed: no such CPU'],
    });
    expect(await server(id)).toMatchObject({ vm_state: 'active', power_state: 1, host_id: host('node1').id, flavor_id: 'f1', epoch: 3 });
    await consistent(id);
  });

  it('a start that fails on both sides leaves it stopped at its source, and it can be started there', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    for (const name of ['node1', 'node2'])
      host(name).faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'StartFailed', runsOn: 'nowhere' });
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, host_id: host('node1').id });
    await consistent(id);
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('a revert whose start fails leaves it stopped at its source, the record in error', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    host('node1').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    await revert(engine, id);
    await status(migration, 'error', 'reverted');
    expect(await record(migration)).toMatchObject({ status: 'error', outcome: { cause: 'StartFailed', runsOn: 'nowhere' } });
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', host_id: host('node1').id });
    await consistent(id);
  });

  it('a revert whose destination does not stop the guest can be tried again', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    host('node2').faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'no') });
    await revert(engine, id);
    await idle(id);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', host_id: host('node2').id });
    expect((await record(migration)).status).toBe('finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    await consistent(id);
  });

  it('a destination that falls silent with the grant is waited for; it forfeits, and the guest comes home', async () => {
    const engine = await cloud.controller('c1', async (name) => {
      if (name === 'start:granted' && armed) host('node2').down = true;
    });
    let armed = false;
    const id = await cloud.server(engine, 'node1');
    armed = true;
    const migration = await migrate(engine, id);
    await until(async () => ((await record(migration)).outcome as { ends?: string } | null)?.ends !== undefined, 25_000);
    // Nobody knows whether it runs there: nothing is started at the source.
    expect(runningCopies(cloud.hosts, id)).toBe(0);
    expect(await server(id)).toMatchObject({ task_state: 'resize_finish', custody: { operation: { step: 'forfeiting' } } });
    armed = false;
    host('node2').down = false;
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'DestinationDown', runsOn: 'source' });
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, epoch: 3 });
    await consistent(id);
  }, 60_000);

  it.each(['getHost', 'stopGuest', 'startGuest', 'destroyGuest'] as const)('the answer of %s is lost: it is asked again', async (call) => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await migrate(engine, id, call === 'getHost' ? null : 'node2');
    await status(migration, 'finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    for (const one of cloud.hosts) one.faults.push({ call, when: 'after', error: silence() });
    const again = await migrate(engine, id, null);
    await status(again, 'finished', 'error');
    await confirm(engine, id);
    await status(again, 'confirmed');
    expect((await server(id)).vm_state).toBe('active');
    for (const one of cloud.hosts) one.faults.length = 0;
    await consistent(id);
  });
});

const forward = [
  'phase:accepted',
  'phase:preparing',
  'phase:stopping',
  'stop:answered',
  'cold:stopped',
  'phase:copying-disks',
  'cold:copied',
  'phase:starting',
  'cold:switched',
  'start:granted',
  'start:answered',
] as const;
const backward = ['cold:given-up', 'phase:starting'] as const;
const answers = [
  'phase:confirming',
  'cold:cleared',
  'phase:reverting',
  'cold:revert-stopped',
  'cold:reverted-host',
  'start:granted',
  'start:answered',
] as const;

/** A controller that dies (never goes on) at a point, and the successor of its name. */
async function dying(
  point: string,
  times = 1,
): Promise<{ engine: Engine; arm: () => void; reached: () => Promise<void>; succeed: () => Promise<Engine>; bury: () => void }> {
  let armed = false;
  let left = times;
  let died = false;
  let bury = (): void => {};
  const dead = new Promise<never>((_resolve, reject) => {
    bury = () => reject(new Error('killed'));
  });
  dead.catch(() => {});
  const engine = await cloud.controller('c1', async (name) => {
    if (!armed || name !== point || --left > 0) return;
    died = true;
    await dead;
  });
  return {
    engine,
    arm: () => void (armed = true),
    reached: () => until(async () => died),
    succeed: () => cloud.controller('c1'),
    bury: () => bury(),
  };
}

describe('a controller that dies', () => {
  it.each(forward)('at %s: its successor finishes the move', async (point) => {
    const first = await dying(point);
    const id = await cloud.server(first.engine, 'node1');
    first.arm();
    const migration = await migrate(first.engine, id);
    await first.reached();
    const second = await first.succeed();
    await status(migration, 'finished', 'error');
    expect((await record(migration)).outcome).toBeNull();
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    await confirm(second, id);
    await status(migration, 'confirmed');
    await consistent(id);
    expect((await server(id)).host_id).toBe(host('node2').id);
    first.bury();
  });

  it.each(backward)('on the way back, at %s: its successor brings the guest home', async (point) => {
    const first = await dying(point, point === 'phase:starting' ? 2 : 1);
    const id = await cloud.server(first.engine, 'node1');
    first.arm();
    host('node2').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    const migration = await migrate(first.engine, id);
    await first.reached();
    await first.succeed();
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id });
    await consistent(id);
    first.bury();
  });

  it.each(answers)('with the answer, at %s: its successor finishes it', async (point) => {
    const first = await dying(point);
    const { id, migration } = await moved(first.engine);
    first.arm();
    const confirming = point === 'phase:confirming' || point === 'cold:cleared';
    await (confirming ? confirm(first.engine, id) : revert(first.engine, id));
    await first.reached();
    await first.succeed();
    await status(migration, 'confirmed', 'reverted', 'error');
    expect((await record(migration)).status).toBe(confirming ? 'confirmed' : 'reverted');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host(confirming ? 'node2' : 'node1').id });
    await consistent(id);
    first.bury();
  });
});
