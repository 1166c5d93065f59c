import { GuestState } from '@godwit/contract/gen/guest_pb';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { refusal, silence } from '../testing/fake-agents.ts';
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
    const id = await cloud.server(engine);
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
});
