import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { ServerId } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import { fakeFacts, refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';

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
const idle = (id: string) => until(async () => (await read(id)).task_state === null);
const guest = (id: string) => cloud.hosts.flatMap((host) => (host.guests.has(id) ? [{ host: host.name, ...host.guests.get(id) }] : []));

describe('create', () => {
  it('places, claims, starts under the first epoch and pins what the host chose', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node2');
    const row = await read(id);
    expect(row).toMatchObject({
      vm_state: 'active',
      task_state: null,
      power_state: 1,
      epoch: 1,
      highest_epoch: 1,
      machine_type: 'pc-q35-10.0',
    });
    expect(guest(id)).toMatchObject([{ host: 'node2', epoch: 1, state: GuestState.RUNNING }]);
    expect(
      await database.db.selectFrom('allocation').select(['consumer_type', 'vcpus', 'ram_mib']).where('server_id', '=', id).execute(),
    ).toEqual([{ consumer_type: 'server', vcpus: 1, ram_mib: 512 }]);
  });

  it('tries another host when one refuses, and leaves nothing on the first', async () => {
    const engine = await cloud.controller('c1');
    for (const host of cloud.hosts.slice(0, 2))
      host.faults.push({ call: 'startGuest', when: 'before', error: refusal('NoSpace', 'no space left') });
    const id = await cloud.server(engine);
    const row = await read(id);
    expect(row.vm_state).toBe('active');
    expect(guest(id).filter((one) => one.state === GuestState.RUNNING)).toHaveLength(1);
    expect(await database.db.selectFrom('allocation').select('host_id').where('server_id', '=', id).execute()).toEqual([
      { host_id: row.host_id },
    ]);
    expect(await database.db.selectFrom('disk').select('id').where('server_id', '=', id).execute()).toHaveLength(1);
  });

  it('ends in ERROR with the reason when no host will do, nothing claimed', async () => {
    const engine = await cloud.controller('c1');
    for (const host of cloud.hosts)
      await database.db.updateTable('host').set({ enabled: false, disabled_reason: 'kernel update' }).where('id', '=', host.id).execute();
    const id = await cloud.server(engine, undefined, 'error');
    const row = await read(id);
    expect(row).toMatchObject({ vm_state: 'error', task_state: null, host_id: null });
    expect(row.fault?.message).toBe('No valid host was found. There are not enough hosts available.');
    expect(row.fault?.details).toContain('kernel update');
    expect(await database.db.selectFrom('allocation').selectAll().execute()).toEqual([]);
  });

  it('starts one guest when the answer of the start is lost', async () => {
    const engine = await cloud.controller('c1');
    for (const host of cloud.hosts) host.faults.push({ call: 'startGuest', when: 'after', error: silence() });
    const id = await cloud.server(engine);
    expect(await read(id)).toMatchObject({ vm_state: 'active', epoch: 1 });
    expect(guest(id)).toHaveLength(1);
  });
});

describe('power', () => {
  it('starts on a host that has booted again, by its own word, before its row knows the boot', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.stop(cloud.admin, id);
    await idle(id);
    const [host] = cloud.hosts;
    if (host === undefined) throw new Error('the cloud has no host');
    host.bootId = 'boot-node1-2';
    await database.db.updateTable('host').set({ boot_id: null }).where('id', '=', host.id).execute();
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', highest_epoch: 2, custody: { holder: { bootId: host.bootId } } });
    expect(guest(id)).toMatchObject([{ host: 'node1', state: GuestState.RUNNING }]);
  });

  it('is granted nothing by a host that does not say in which boot it is', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.stop(cloud.admin, id);
    await idle(id);
    for (const host of cloud.hosts) host.bootId = '';
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', highest_epoch: 1, custody: { operation: null } });
    expect(guest(id)).toMatchObject([{ host: 'node1', state: GuestState.SHUTOFF }]);
  });

  it('stops, starts under a new epoch, pauses, unpauses and reboots', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine);
    const { operations } = engine;
    await operations.stop(cloud.admin, id);
    expect((await read(id)).task_state).toBe('powering-off');
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, custody: { holder: { kind: 'nowhere' } } });
    await operations.start(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, epoch: 2 });
    await operations.pause(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'paused', power_state: 3 });
    await operations.unpause(cloud.admin, id);
    await idle(id);
    await operations.reboot(cloud.admin, id, 'HARD');
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, epoch: 2 });
    const actions = await database.db
      .selectFrom('instance_action')
      .select(['action', 'message'])
      .where('server_id', '=', id)
      .orderBy('id')
      .execute();
    expect(actions.map((one) => one.action)).toEqual(['create', 'stop', 'start', 'pause', 'unpause', 'reboot']);
    expect(actions.every((one) => one.message === null)).toBe(true);
  });

  it('refuses what the state does not allow, changing nothing', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine);
    await expect(engine.operations.start(cloud.admin, id)).rejects.toMatchObject({ code: 'InvalidState' });
    expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: null });
    const { n } = await database.db
      .selectFrom('workflow')
      .select((eb) => eb.fn.countAll<number>().as('n'))
      .executeTakeFirstOrThrow();
    expect(n).toBe(1);
  });

  it('tells a refusal of the host as an error of the action and leaves the state', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    cloud.hosts[0]?.faults.push({ call: 'pauseGuest', when: 'before', error: refusal('custody-migrating', 'it is being migrated') });
    await engine.operations.pause(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: null });
    const action = await database.db
      .selectFrom('instance_action')
      .select(['id', 'message'])
      .where('action', '=', 'pause')
      .executeTakeFirstOrThrow();
    expect(action.message).toBe('Error');
    expect(
      await database.db.selectFrom('instance_action_event').select(['result', 'details']).where('action_id', '=', action.id).execute(),
    ).toEqual([{ result: 'Error', details: 'it is being migrated' }]);
  });
});

describe('suspend', () => {
  const calls = (name: string) => cloud.hosts.find((host) => host.name === name)?.calls.map(({ call }) => call) ?? [];
  const why = async (id: string, action: string) =>
    database.db
      .selectFrom('instance_action_event')
      .innerJoin('instance_action', 'instance_action.id', 'action_id')
      .select(['event', 'result', 'details'])
      .where('server_id', '=', id)
      .where('action', '=', action)
      .orderBy('instance_action_event.id', 'desc')
      .executeTakeFirstOrThrow();
  const suspended = async (engine: Engine): Promise<ServerId> => {
    const id = await cloud.server(engine, 'node1');
    await engine.operations.suspend(cloud.admin, id);
    await idle(id);
    return id;
  };

  it.each([null, 'power:answered', 'start:granted', 'start:answered'])(
    'keeps the guest in one place, its memory or a process, its controller losing the thread at %s',
    async (point) => {
      const lost = new Set<string>();
      let round = '';
      let looked = Promise.withResolvers<void>();
      const engine = await cloud.controller('c1', async (name) => {
        // It goes no further than this before we have seen what was accepted.
        if (round !== '') await looked.promise;
        if (round === '' || name !== point || lost.has(round)) return;
        lost.add(round);
        throw new Error(`lost at ${name}`);
      });
      const id = await cloud.server(engine, 'node1');
      round = 'suspend';
      await engine.operations.suspend(cloud.admin, id);
      expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: 'suspending' });
      looked.resolve();
      await idle(id);
      const held = { kind: 'suspended', hostId: cloud.hosts[0]?.id, epoch: 1 };
      expect(await read(id)).toMatchObject({ vm_state: 'suspended', power_state: 7, custody: { holder: held, operation: null } });
      expect(await why(id, 'suspend')).toMatchObject({ event: 'compute_suspend_instance', result: 'Success' });
      expect(guest(id)).toMatchObject([{ state: GuestState.SUSPENDED }]);
      const { operations } = engine;
      for (const call of [operations.start, operations.stop, operations.pause, operations.suspend])
        await expect(call(cloud.admin, id)).rejects.toMatchObject({ code: 'InvalidState' });
      round = 'resume';
      looked = Promise.withResolvers();
      await operations.resume(cloud.admin, id);
      expect(await read(id)).toMatchObject({ vm_state: 'suspended', task_state: 'resuming' });
      looked.resolve();
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, epoch: 2, custody: { holder: { kind: 'host' } } });
      expect(await why(id, 'resume')).toMatchObject({ event: 'compute_resume_instance', result: 'Success' });
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      expect(lost.size).toBe(point === null ? 0 : point === 'power:answered' ? 2 : 1);
    },
  );

  it('leaves a server whose memory is not saved as it was, and one whose memory is not loaded suspended', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [host] = cloud.hosts;
    host?.faults.push({ call: 'suspendGuest', when: 'before', error: refusal('NoSpace', 'no space left: its guest runs on') });
    await engine.operations.suspend(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, custody: { holder: { kind: 'host' } } });
    expect(await why(id, 'suspend')).toMatchObject({ result: 'Error', details: 'no space left: its guest runs on' });
    await engine.operations.suspend(cloud.admin, id);
    await idle(id);
    host?.faults.push({ call: 'startGuest', when: 'before', error: refusal('SavedMemoryUnusable', 'its file is not there') });
    await engine.operations.resume(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'suspended', power_state: 7, custody: { holder: { kind: 'suspended', epoch: 1 } } });
    expect(await why(id, 'resume')).toMatchObject({ result: 'Error', details: 'its file is not there' });
    await engine.operations.resume(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1 });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('ends with a hard reboot: the memory is destroyed before the guest starts from its disk', async () => {
    const engine = await cloud.controller('c1');
    const id = await suspended(engine);
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, custody: { holder: { kind: 'host' } } });
    const told = calls('node1');
    expect(told.lastIndexOf('startGuest')).toBeGreaterThan(told.lastIndexOf('destroyGuest'));
    expect(told).not.toContain('rebootGuest');
    // And one that was accepted while the memory was being saved.
    cloud.hosts[0]?.faults.push({ call: 'suspendGuest', when: 'after', error: refusal('Internal', 'the answer was lost') });
    await engine.operations.suspend(cloud.admin, id);
    await idle(id);
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, custody: { holder: { kind: 'host' } } });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    expect(guest(id)[0]?.epoch).toBeGreaterThan(4);
  });

  it('asks again while the host carries an earlier call out still, and gives neither the saving nor the loading up for it', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [host] = cloud.hosts;
    host?.faults.push({ call: 'suspendGuest', when: 'before', error: refusal('Conflict', 'another operation has not ended') });
    await engine.operations.suspend(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'suspended' });
    host?.faults.push({ call: 'startGuest', when: 'before', error: refusal('Conflict', 'another operation has not ended') });
    await engine.operations.resume(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', epoch: 2 });
    expect(calls('node1')).not.toContain('forfeitIncoming');
    host?.faults.push({ call: 'rebootGuest', when: 'before', error: refusal('Conflict', 'its memory is being saved') });
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    await idle(id);
    expect(await why(id, 'reboot')).toMatchObject({ result: 'Success' });
  });

  it.each(['suspend', 'resume'] as const)('a %s that a hard reboot was accepted over does nothing more, and says so', async (operation) => {
    const holdAt = [operation === 'suspend' ? 'power:answered' : 'start:granted', 'rest:burned'];
    const held: (() => void)[] = [];
    let armed = false;
    const engine = await cloud.controller('c1', (name) => {
      if (!armed || name !== holdAt[held.length]) return Promise.resolve();
      return new Promise((resolve) => held.push(resolve));
    });
    const id = operation === 'suspend' ? await cloud.server(engine, 'node1') : await suspended(engine);
    armed = true;
    await engine.operations[operation](cloud.admin, id);
    await until(async () => held.length === 1);
    await engine.operations.reboot(cloud.admin, id, 'HARD');
    // In the middle of it the other comes back: it may write nothing, and its next run finds the server in another's charge.
    await until(async () => held.length === 2);
    held[0]?.();
    await until(async () => (await why(id, operation)).result !== null);
    expect(await why(id, operation)).toMatchObject({ result: 'Error', details: expect.stringContaining('another task (rebooting_hard)') });
    held[1]?.();
    await idle(id);
    expect(await why(id, 'reboot')).toMatchObject({ result: 'Success' });
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, custody: { holder: { kind: 'host' } } });
    // Its watcher may ask it for what it has at any time.
    const ordered = calls('node1').filter((call) => call !== 'getHost' && call !== 'listGuests');
    expect(ordered.slice(-2)).toEqual(['destroyGuest', 'startGuest']);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('is over with the server: its memory is destroyed', async () => {
    const engine = await cloud.controller('c1');
    const id = await suspended(engine);
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null);
    expect(await read(id)).toMatchObject({ custody: { holder: { kind: 'nowhere' }, operation: null, remains: [] } });
    expect(guest(id)[0]?.state).toBe(GuestState.SHUTOFF);
  });

  it('is not offered by a host that has not said that it can', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const { suspends: _, ...facts } = fakeFacts('node1');
    await database.db
      .updateTable('host')
      .set({ facts: JSON.stringify(facts) })
      .where('name', '=', 'node1')
      .execute();
    await expect(engine.operations.suspend(cloud.admin, id)).rejects.toMatchObject({ code: 'SuspendUnsupported' });
    expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: null });
    // Nor is a memory loaded by one that would start the guest from its disk instead.
    await database.db.updateTable('server').set({ vm_state: 'suspended' }).where('id', '=', id).execute();
    await expect(engine.operations.resume(cloud.admin, id)).rejects.toMatchObject({ code: 'SuspendUnsupported' });
    expect(await read(id)).toMatchObject({ vm_state: 'suspended', task_state: null });
  });
});

describe('rebuild', () => {
  const rebuild = (engine: Engine, id: ServerId) =>
    engine.operations.rebuild(cloud.admin, id, { imageId: cloud.imageId, metadata: null, columns: {} });
  const disks = (id: string) => database.db.selectFrom('disk').select(['id', 'fresh']).where('server_id', '=', id).execute();

  it.each(['rebuild:stopped', 'rebuild:exchanged', 'start:answered', 'rebuild:started'])(
    'is one new disk and one guest although its controller loses the thread at %s',
    async (point) => {
      let lost = 0;
      let armed = false;
      const engine = await cloud.controller('c1', async (name) => {
        if (armed && name === point && lost++ === 0) throw new Error(`lost at ${point}`);
      });
      const id = await cloud.server(engine, 'node1');
      const [before] = await disks(id);
      armed = true;
      await rebuild(engine, id);
      await idle(id);
      expect(lost).toBeGreaterThan(0);
      expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, task_state: null });
      const [after, ...more] = await disks(id);
      expect(more).toEqual([]);
      expect(after).toMatchObject({ fresh: false });
      expect(after?.id).not.toBe(before?.id);
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      // The old disk's files were deleted while nothing ran.
      const calls = cloud.hosts[0]?.calls.map(({ call }) => call) ?? [];
      expect(calls.indexOf('destroyGuest')).toBeGreaterThan(calls.indexOf('stopGuest'));
      expect(calls.lastIndexOf('destroyGuest')).toBeLessThan(calls.lastIndexOf('startGuest'));
    },
  );

  it('leaves a server that cannot be stopped as it was, on its disk', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const before = await disks(id);
    cloud.hosts[0]?.faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'it is being migrated') });
    await rebuild(engine, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', task_state: null });
    expect(await disks(id)).toEqual(before);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('of a server that was off ends off', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.stop(cloud.admin, id);
    await idle(id);
    await rebuild(engine, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, custody: { holder: { kind: 'nowhere' } } });
    expect(runningCopies(cloud.hosts, id)).toBe(0);
  });
});

describe('rescue', () => {
  const disks = (id: string) =>
    database.db.selectFrom('disk').select(['id', 'device_index', 'fresh']).where('server_id', '=', id).orderBy('device_index').execute();

  it.each([null, 'rescue:exchanged', 'start:answered'])(
    'puts a disk before the own one and takes it out again, one guest at a time, its controller losing the thread at %s',
    async (point) => {
      const lost = new Set<string>();
      let round = '';
      const engine = await cloud.controller('c1', async (name) => {
        if (round === '' || name !== point || lost.has(round)) return;
        lost.add(round);
        throw new Error(`lost at ${name}`);
      });
      const id = await cloud.server(engine, 'node1');
      const [own] = await disks(id);
      round = 'in';
      await engine.operations.rescue(cloud.admin, id, null);
      expect(await read(id)).toMatchObject({ task_state: 'rescuing' });
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'rescued', power_state: 1, rescue: { imageId: cloud.imageId } });
      expect(await disks(id)).toMatchObject([{ device_index: -1, fresh: false }, own]);
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      await expect(engine.operations.stop(cloud.admin, id)).rejects.toMatchObject({ code: 'InvalidState' });
      await expect(engine.operations.migrate(cloud.admin, id, { host: null })).rejects.toMatchObject({ code: 'InvalidState' });
      round = 'out';
      await engine.operations.unrescue(cloud.admin, id);
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, rescue: null });
      expect(await disks(id)).toEqual([own]);
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      expect(lost.size).toBe(point === null ? 0 : 2);
    },
  );

  it('leaves a server that cannot be started from the other disk off and whole', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const before = await disks(id);
    cloud.hosts[0]?.faults.push({ call: 'startGuest', when: 'before', error: refusal('NoSpace', 'no space left') });
    await engine.operations.rescue(cloud.admin, id, null);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, rescue: null });
    expect(await disks(id)).toEqual(before);
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active' });
  });
});

describe('delete', () => {
  it('destroys under an epoch granted to nobody and frees everything', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine);
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null);
    const row = await read(id);
    expect(row).toMatchObject({
      vm_state: 'deleted',
      task_state: null,
      epoch: 1,
      custody: { holder: { kind: 'nowhere' }, operation: null, remains: [] },
    });
    expect(row.highest_epoch).toBeGreaterThan(1);
    expect(guest(id)[0]?.state).toBe(GuestState.SHUTOFF);
    for (const table of ['allocation', 'disk'] as const)
      expect(await database.db.selectFrom(table).selectAll().where('server_id', '=', id).execute()).toEqual([]);
  });

  it('asks a host that is there, and has not removed the disks, again until it has', async () => {
    const [host] = cloud.hosts;
    if (host === undefined) throw new Error('the cloud has no host');
    const engine = await cloud.controller('c1', async (point) => {
      if (point !== 'settle:destroy') return;
      // The copy is dead: what comes next is the order to remove the disks, which gets no answer. The host counts as there, and tells nothing by itself.
      host.down = true;
      const before = host.unanswered;
      await until(async () => host.unanswered > before);
      const later = new Date(Date.now() + 3_600_000);
      await database.db.updateTable('host').set({ reachable: true, last_seen_at: later }).where('id', '=', host.id).execute();
    });
    const id = await cloud.server(engine, 'node1');
    const disks = () => database.db.selectFrom('disk').select('id').where('server_id', '=', id).execute();
    const settling = () => database.db.selectFrom('workflow').select('attempts').where('kind', '=', 'settle-server').execute();
    const [disk] = await disks();
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null);
    expect(await settling()).toHaveLength(1);
    await until(async () => ((await settling())[0]?.attempts ?? 0) >= 2);
    expect([await disks(), host.destroyedDisks]).toEqual([[disk], []]);
    host.down = false;
    await until(async () => (await disks()).length === 0);
    expect(host.destroyedDisks).toEqual([disk?.id]);
    expect(await read(id)).toMatchObject({ vm_state: 'deleted', custody: { holder: { kind: 'nowhere' }, operation: null, remains: [] } });
  });
});
