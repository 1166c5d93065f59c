import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { asEpoch } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { type FakeHost, refusal, runningCopies } from '../testing/fake-agents.ts';
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

const read = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const state = (id: string, vmState: string) => until(async () => (await read(id)).vm_state === vmState);
const [first, second] = [() => cloud.hosts[0] as FakeHost, () => cloud.hosts[1] as FakeHost];

const messages = async (id: string) =>
  (await database.db.selectFrom('instance_action').select(['action', 'message']).where('server_id', '=', id).orderBy('id').execute()).map(
    (one) => `${one.action}: ${one.message}`,
  );

describe('guests outside a move', () => {
  it('one that powers itself off is SHUTOFF, held by nobody, and can be started again', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    Object.assign(first().guests.get(id) ?? {}, { state: GuestState.SHUTOFF });
    await state(id, 'stopped');
    expect(await read(id)).toMatchObject({ power_state: 4, task_state: null, fault: null, custody: { holder: { kind: 'nowhere' } } });
    expect(await messages(id)).toEqual(['create: null', 'stop: The guest was powered off inside.']);
    await engine.operations.start(cloud.admin, id);
    await state(id, 'active');
    expect((await read(id)).epoch).toBe(2);
  });

  it('one that crashes is ERROR with the cause', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    Object.assign(first().guests.get(id) ?? {}, { state: GuestState.CRASHED });
    await state(id, 'error');
    expect(await read(id)).toMatchObject({
      power_state: 6,
      fault: { code: 500, message: 'The guest has crashed.' },
      custody: { holder: { kind: 'nowhere' } },
    });
  });

  it.each(['forgets', 'calls crashed'])(
    'after a reboot of the host, which %s what it had, it is SHUTOFF with the reason; nothing starts it',
    async (what) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      if (what === 'forgets') first().guests.clear();
      else Object.assign(first().guests.get(id) ?? {}, { state: GuestState.CRASHED });
      first().bootId = 'boot-node1-2';
      await state(id, 'stopped');
      expect(await messages(id)).toEqual(['create: null', 'stop: The host node1 has rebooted.']);
      expect(first().calls.filter((one) => one.call === 'startGuest')).toHaveLength(1);
      expect(runningCopies(cloud.hosts, id)).toBe(0);
    },
  );

  it('one that its host does not mention, in the boot that it was started in, has not ended: nothing is changed', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const before = await read(id);
    first().guests.clear();
    const questions = () => first().calls.filter(({ call }) => call === 'listGuests').length;
    const asked = questions();
    await until(async () => questions() > asked + 2);
    const { vm_state, power_state, fault, custody } = before;
    expect(await read(id)).toMatchObject({ vm_state, power_state, fault, custody, task_state: null });
    expect(await messages(id)).toEqual(['create: null']);
  });

  it('after a reboot it is SHUTOFF too when the host has lost the end of its journal and believes it is still to come', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    Object.assign(first().guests.get(id) ?? {}, { state: GuestState.INCOMING });
    first().bootId = 'boot-node1-2';
    await state(id, 'stopped');
    expect(await messages(id)).toEqual(['create: null', 'stop: The host node1 has rebooted.']);
    expect((await read(id)).custody.holder).toEqual({ kind: 'nowhere' });
  });

  it('after a reboot of a host that is set so it is started again, by a new grant', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await database.db.updateTable('host').set({ restart_guests_after_boot: true }).where('id', '=', first().id).execute();
    first().guests.clear();
    first().bootId = 'boot-node1-2';
    await until(async () => (await read(id)).epoch === 2 && (await read(id)).task_state === null);
    expect(await read(id)).toMatchObject({ vm_state: 'active', custody: { holder: { epoch: 2, bootId: 'boot-node1-2' } } });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('one whose host has suspended it unheard is SUSPENDED, also after a reboot of the host; without its memory it is SHUTOFF', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    Object.assign(first().guests.get(id) ?? {}, { state: GuestState.SUSPENDED });
    await state(id, 'suspended');
    const holder = { kind: 'suspended', hostId: first().id, epoch: 1 };
    expect(await read(id)).toMatchObject({ power_state: 7, task_state: null, custody: { holder } });
    first().bootId = 'boot-node1-2';
    await until(async () => (await hostRow(first())).boot_id === 'boot-node1-2');
    // And whatever an administrator writes.
    await database.db.updateTable('server').set({ vm_state: 'active' }).where('id', '=', id).execute();
    await state(id, 'suspended');
    expect((await read(id)).custody.holder).toEqual(holder);
    first().guests.set(id, { epoch: 0, state: GuestState.SHUTOFF, fence: 0, refusedThrough: 1 });
    await state(id, 'stopped');
    expect((await read(id)).custody.holder).toEqual({ kind: 'nowhere' });
    expect(await messages(id)).toEqual(['create: null', 'stop: Its saved memory is not there any more: it starts from its disk.']);
  });

  it('a memory that was given up while its host was silent is destroyed when that answers: the server is SHUTOFF', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.suspend(cloud.admin, id);
    await state(id, 'suspended');
    first().down = true;
    const { custody } = await read(id);
    const operation = { kind: 'destroy' as const, hostId: first().id, epoch: asEpoch(2) };
    await database.db
      .updateTable('server')
      .set({ highest_epoch: 2, custody: JSON.stringify({ ...custody, operation }) })
      .where('id', '=', id)
      .execute();
    first().down = false;
    await state(id, 'stopped');
    expect(await read(id)).toMatchObject({ power_state: 4, custody: { holder: { kind: 'nowhere' }, operation: null } });
    expect(first().guests.get(id)?.state).toBe(GuestState.SHUTOFF);
  });

  it('one that is suspended on a fenced host stays so, until an administrator gives its memory up and evacuates it', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.suspend(cloud.admin, id);
    await state(id, 'suspended');
    await fallSilent(database, first());
    await engine.operations.fenceHost(cloud.admin, 'node1');
    await until(async () => engine.idle());
    expect(await read(id)).toMatchObject({ vm_state: 'suspended', custody: { holder: { kind: 'suspended', epoch: 1 } } });
    await expect(engine.operations.evacuate(cloud.admin, id, { host: 'node2' })).rejects.toMatchObject({ code: 'InvalidState' });
    await database.db.updateTable('server').set({ vm_state: 'error' }).where('id', '=', id).execute();
    await engine.operations.evacuate(cloud.admin, id, { host: 'node2' });
    await state(id, 'active');
    expect(await read(id)).toMatchObject({ host_id: second().id, custody: { holder: { kind: 'host', hostId: second().id } } });
    // The memory is not loaded when the host is back: it is destroyed.
    await answerAgain(database, first());
    await until(async () => first().guests.get(id)?.state === GuestState.SHUTOFF);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  }, 60_000);

  it('a host that comes back in the same boot is let back with the memory that it has; the server is resumed there', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.suspend(cloud.admin, id);
    await state(id, 'suspended');
    await fallSilent(database, first());
    await engine.operations.fenceHost(cloud.admin, 'node1');
    await until(async () => engine.idle());
    await answerAgain(database, first());
    const fencedAt = async () =>
      (await database.db.selectFrom('host').select('fenced_at').where('id', '=', first().id).executeTakeFirstOrThrow()).fenced_at;
    await until(async () => (await fencedAt()) === null);
    await engine.operations.resume(cloud.admin, id);
    await state(id, 'active');
    expect(await read(id)).toMatchObject({ epoch: 2, custody: { holder: { kind: 'host', hostId: first().id } } });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('a copy that the controller does not know to be there is superseded, never the one that it knows', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.stop(cloud.admin, id);
    await state(id, 'stopped');
    await engine.operations.start(cloud.admin, id);
    await state(id, 'active');
    expect((await read(id)).epoch).toBe(2);
    // As a host that was cut off and comes back with what it had.
    second().guests.set(id, { epoch: 1, state: GuestState.RUNNING, fence: 0 });
    await until(async () => second().guests.get(id)?.state === GuestState.SHUTOFF);
    expect(first().guests.get(id)).toMatchObject({ epoch: 2, state: GuestState.RUNNING });
    await until(async () => (await read(id)).custody.remains.length === 0);
    expect(await read(id)).toMatchObject({ vm_state: 'active', host_id: first().id });
  });

  it('one that ends while an operation on it is under way is not taken for active when that is over', async () => {
    let gate: (() => void) | null = null;
    const engine = await cloud.controller('c1', (name) =>
      // The host has answered, the row is not written yet.
      name === 'power:answered' ? new Promise<void>((resolve) => (gate = resolve)) : undefined,
    );
    const id = await cloud.server(engine, 'node1');
    await engine.operations.pause(cloud.admin, id);
    await until(async () => gate !== null);
    Object.assign(first().guests.get(id) ?? {}, { state: GuestState.SHUTOFF });
    // Heard, and not written: the operation has the row.
    await until(
      async () =>
        (await database.db
          .selectFrom('workflow')
          .select('id')
          .where('kind', '=', 'settle-server')
          .where('subject_id', '=', id)
          .executeTakeFirst()) !== undefined,
    );
    expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: 'pausing' });
    first().down = true;
    (gate as (() => void) | null)?.();
    await state(id, 'paused');
    first().down = false;
    await state(id, 'stopped');
    expect(await read(id)).toMatchObject({ task_state: null, power_state: 4, custody: { holder: { kind: 'nowhere' } } });
  }, 60_000);

  it('a guest that the database does not know is left alone', async () => {
    const engine = await cloud.controller('c1');
    const stranger = '99999999-9999-4999-8999-999999999999';
    second().guests.set(stranger, { epoch: 1, state: GuestState.RUNNING, fence: 0 });
    // Long enough for several reports: another fact of the same host has been noted after them.
    const id = await cloud.server(engine, 'node2');
    Object.assign(second().guests.get(id) ?? {}, { state: GuestState.SHUTOFF });
    await state(id, 'stopped');
    expect(second().guests.get(stranger)).toMatchObject({ state: GuestState.RUNNING });
    expect(second().calls.filter((one) => one.call === 'supersede' || one.call === 'destroyGuest')).toEqual([]);
  });

  it('a server deleted while its host was away is destroyed when the host returns', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    first().down = true;
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null, 40_000);
    expect(first().guests.get(id)?.state).toBe(GuestState.RUNNING);
    expect(await database.db.selectFrom('allocation').selectAll().where('server_id', '=', id).execute()).toEqual([]);
    first().down = false;
    await until(async () => first().guests.get(id)?.state === GuestState.SHUTOFF);
    await until(async () => (await database.db.selectFrom('disk').selectAll().where('server_id', '=', id).execute()).length === 0);
  }, 60_000);
});

it('a host that is set so starts no guest after a power loss inside a switchover, as long as the other host may run it', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  await database.db.updateTable('host').set({ restart_guests_after_boot: true }).where('id', '=', first().id).execute();
  first().copyRounds = null;
  const migration = await engine.operations.liveMigrate(cloud.admin, id, {
    host: 'node2',
    blockMigration: 'auto',
    force: false,
    checksBeforeAnswer: false,
  });
  const record = () => database.db.selectFrom('migration').selectAll().where('id', '=', migration).executeTakeFirstOrThrow();
  await until(async () => (await record()).phase === 'copying' && first().moves.has(migration));
  // It has released, the destination has taken, and nobody has told the controller: one host is silent, the other has booted again.
  second().down = true;
  Object.assign(second().guests.get(id) ?? {}, { state: GuestState.RUNNING });
  Object.assign(second().moves.get(migration) ?? {}, { state: 'running', guest: GuestState.RUNNING, taken: TakeAnswer.TOOK_ALIVE });
  first().guests.clear();
  first().moves.clear();
  first().bootId = 'boot-node1-2';
  const questions = () => first().calls.filter(({ call }) => call === 'listGuests').length;
  const asked = questions();
  await until(async () => (await record()).outcome !== null && questions() > asked + 3);
  expect(await read(id)).toMatchObject({ task_state: 'migrating' });
  expect(first().calls.filter(({ call }) => call === 'startGuest')).toHaveLength(1);
  expect(runningCopies(cloud.hosts, id)).toBe(1);
  second().down = false;
  await until(async () => (await record()).finished_at !== null);
  expect(await record()).toMatchObject({ status: 'completed' });
  expect(await read(id)).toMatchObject({ vm_state: 'active', host_id: second().id, epoch: 2 });
  expect(first().calls.filter(({ call }) => call === 'startGuest')).toHaveLength(1);
}, 60_000);

const silent = (host: FakeHost): Promise<void> => fallSilent(database, host);
const hostRow = (host: FakeHost) => database.db.selectFrom('host').selectAll().where('id', '=', host.id).executeTakeFirstOrThrow();
const fenced = async (host: FakeHost) => (await hostRow(host)).fenced_at !== null;

describe('a host that an operator fences', () => {
  it('is refused while the host is heard of, and for a host that is none; nothing changes', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const before = await read(id);
    await expect(engine.operations.fenceHost(cloud.admin, 'node1')).rejects.toMatchObject({
      code: 'Conflict',
      message: expect.stringContaining('answers'),
    });
    await expect(engine.operations.fenceHost(cloud.admin, 'nowhere')).rejects.toMatchObject({ code: 'NotFound' });
    expect(await fenced(first())).toBe(false);
    const { vm_state, power_state, fault, custody } = before;
    expect(await read(id)).toMatchObject({ vm_state, power_state, fault, custody, task_state: null });
  });

  it('gives up its guests, takes none, and is let back in the same boot only when what it still had was killed', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await silent(first());
    await engine.operations.fenceHost(cloud.admin, 'node1');
    await state(id, 'error');
    expect(await read(id)).toMatchObject({
      task_state: null,
      custody: { holder: { kind: 'nowhere' }, operation: null, remains: [{ hostId: first().id, below: 2 }] },
      fault: { message: expect.stringContaining('node1 was fenced') },
    });
    expect((await messages(id)).at(-1)).toMatch(/^stop: The host node1 was fenced/);
    // Cut off, its guest runs on there: nobody can know.
    expect(first().guests.get(id)).toMatchObject({ epoch: 1, state: GuestState.RUNNING });
    const again = await engine.operations.fenceHost(cloud.admin, 'node1');
    expect(again.fencedAt).toEqual((await hostRow(first())).fenced_at);
    // The killing fails once: until it has been done the host stays fenced, however often it is heard.
    first().faults.push({ call: 'supersede', when: 'before', error: refusal('Internal') });
    first().down = false;
    await until(async () => first().guests.get(id)?.state === GuestState.SHUTOFF);
    await until(async () => !(await fenced(first())));
    const calls = first().calls.map(({ call }) => call);
    expect(calls.filter((call) => call === 'supersede').length).toBeGreaterThanOrEqual(2);
    expect((await read(id)).custody.remains).toEqual([]);
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    await state(id, 'active');
    expect(await read(id)).toMatchObject({ epoch: 3, host_id: first().id });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  }, 60_000);

  it('is let back after a new boot, once its report was compared', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await silent(first());
    await engine.operations.fenceHost(cloud.admin, 'node1');
    await state(id, 'error');
    first().guests.clear();
    first().bootId = 'boot-node1-2';
    first().down = false;
    await until(async () => !(await fenced(first())));
    expect(runningCopies(cloud.hosts, id)).toBe(0);
  }, 60_000);

  it('ends the wait for a destination that was silent after the release: the guest starts again from its disk, under a newer epoch', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    second().onRelease = 'deaf';
    first().copyRounds = null;
    const migration = await engine.operations.liveMigrate(cloud.admin, id, {
      host: 'node2',
      blockMigration: 'auto',
      force: false,
      checksBeforeAnswer: false,
    });
    const record = () => database.db.selectFrom('migration').selectAll().where('id', '=', migration).executeTakeFirstOrThrow();
    await until(async () => (await record()).phase === 'copying' && first().moves.has(migration));
    second().down = true;
    first().copyRounds = 1;
    await until(async () => (await record()).phase === 'switchover');
    await silent(second());
    expect(runningCopies(cloud.hosts, id)).toBe(0);
    await engine.operations.fenceHost(cloud.admin, 'node2');
    await until(async () => (await record()).finished_at !== null);
    expect(await record()).toMatchObject({
      status: 'error',
      outcome: { cause: 'DestinationDown', runsOn: 'nowhere', sentence: expect.stringContaining('was fenced') },
    });
    expect(await read(id)).toMatchObject({ vm_state: 'error', host_id: first().id, custody: { holder: { kind: 'nowhere' } } });
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    await state(id, 'active');
    const { epoch } = await read(id);
    expect(epoch).toBeGreaterThan(2);
    expect(first().guests.get(id)).toMatchObject({ state: GuestState.RUNNING, epoch });
    // What the destination had loaded is never let run.
    second().down = false;
    await until(async () => !(await fenced(second())));
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    expect((await read(id)).custody.remains).toEqual([]);
  }, 60_000);

  it('ends the wait for a source that is silent while copying: what was loaded is discarded, never resumed', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    first().copyRounds = null;
    const migration = await engine.operations.liveMigrate(cloud.admin, id, {
      host: 'node2',
      blockMigration: 'auto',
      force: false,
      checksBeforeAnswer: false,
    });
    const record = () => database.db.selectFrom('migration').selectAll().where('id', '=', migration).executeTakeFirstOrThrow();
    await until(async () => (await record()).phase === 'copying' && first().moves.has(migration));
    await silent(first());
    await engine.operations.fenceHost(cloud.admin, 'node1');
    await until(async () => (await record()).finished_at !== null);
    expect(await record()).toMatchObject({ status: 'failed', outcome: { cause: 'SourceDown', runsOn: 'nowhere' } });
    expect(second().moves.get(migration)?.state).toBe('forfeited');
    expect(runningCopies([second()], id)).toBe(0);
    expect(await read(id)).toMatchObject({
      vm_state: 'error',
      custody: { holder: { kind: 'nowhere' }, remains: [{ hostId: first().id }] },
    });
  }, 60_000);
});
