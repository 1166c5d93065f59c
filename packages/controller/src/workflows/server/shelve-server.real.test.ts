import { execFileSync } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

import type { ServerId } from '@godwit/domain/ids';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { deleteImage } from '../../api/image/delete-image.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import type { WorkflowRun } from '../port.ts';
import { fakeAgents, refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { stopGuest } from './stop-guest.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let dir: string;
let disk: Buffer;
beforeAll(async () => {
  postgres = await startTestServer();
  dir = await mkdtemp(join(tmpdir(), 'gw-shelve-'));
  execFileSync('qemu-img', ['create', '-q', '-f', 'qcow2', join(dir, 'disk'), '1G']);
  disk = await readFile(join(dir, 'disk'));
}, 60_000);
afterAll(async () => {
  await postgres.stop();
  await rm(dir, { recursive: true, force: true });
}, 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database, undefined, 0, dir);
  for (const host of cloud.hosts) host.snapshot = disk;
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const read = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const idle = (id: string) => until(async () => (await read(id)).task_state === null);
const host = (name: string) => {
  const found = cloud.hosts.find((one) => one.name === name);
  if (found === undefined) throw new Error(`no host ${name}`);
  return found;
};
const rows = (table: 'disk' | 'allocation' | 'port', id: string) =>
  database.db.selectFrom(table).selectAll().where('server_id', '=', id).execute();
const images = (id: string) =>
  database.db
    .selectFrom('image')
    .select(['id', 'name', 'status', 'owner'])
    .where((eb) => eb(eb.ref('properties', '->>').key('instance_uuid'), '=', id))
    .execute();
const lastAction = async (id: string) => {
  const action = await database.db
    .selectFrom('instance_action')
    .select(['id', 'action', 'message'])
    .where('server_id', '=', id)
    .orderBy('id', 'desc')
    .executeTakeFirstOrThrow();
  const events = await database.db
    .selectFrom('instance_action_event')
    .select(['event', 'result', 'details'])
    .where('action_id', '=', action.id)
    .orderBy('id')
    .execute();
  return { ...action, events };
};
/** A controller of these settings; the first window is for shelved servers, in seconds. */
const controller = (offloadSeconds: number, name = 'c1') =>
  cloud.controller(name, undefined, undefined, undefined, undefined, offloadSeconds);
const shelve = async (engine: Engine, id: ServerId) => {
  await engine.operations.shelve(cloud.admin, id);
  await idle(id);
};
const unshelve = (engine: Engine, id: ServerId, request: { zone?: string | null; host?: string } = {}) =>
  engine.operations.unshelve(cloud.admin, id, { ...request, host: request.host ?? null });

/** A controller that dies (never goes on) at a point, and the successor of its name. */
async function dying(point: string, offloadSeconds = 0) {
  let armed = false;
  let died = false;
  let bury = (): void => {};
  const dead = new Promise<never>((_resolve, reject) => {
    bury = () => reject(new Error('killed'));
  });
  dead.catch(() => {});
  const engine = await cloud.controller(
    'c1',
    async (name) => {
      if (!armed || name !== point) return;
      died = true;
      await dead;
    },
    undefined,
    undefined,
    undefined,
    offloadSeconds,
  );
  return {
    engine,
    arm: () => void (armed = true),
    reached: () => until(async () => died),
    succeed: () => controller(offloadSeconds),
    bury: () => bury(),
  };
}

describe('backups', () => {
  it('of each type the newest so many are kept, of this server alone; images and other types stay', async () => {
    const engine = await controller(0);
    const [id, other] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node1')];
    const keep = async (server: ServerId, name: string, backup: { readonly type: string; readonly rotation: number } | null) => {
      await engine.operations.snapshot(cloud.admin, server, { name, metadata: {}, backup });
      await idle(server);
    };
    const daily = { type: 'daily', rotation: 2 };
    await keep(other, 'other', daily);
    await keep(id, 'image', null);
    await keep(id, 'weekly', { type: 'weekly', rotation: 2 });
    for (const name of ['one', 'two', 'three']) await keep(id, name, daily);
    const left = async (server: ServerId) =>
      (await images(server))
        .filter(({ status }) => status === 'active')
        .map(({ name }) => name)
        .toSorted();
    expect([await left(id), await left(other)]).toEqual([['image', 'three', 'two', 'weekly'], ['other']]);
    expect(await lastAction(id)).toMatchObject({
      action: 'createBackup',
      message: null,
      events: [{ event: 'compute_backup_instance', result: 'Success' }],
    });
    await keep(id, 'none', { type: 'daily', rotation: 0 });
    expect(await left(id)).toEqual(['image', 'weekly']);
  });
});

describe('shelve', () => {
  it('keeps the disk as an image, gives up the host, and unshelve puts it on one from that image', async () => {
    const accepted = Promise.withResolvers<void>();
    const engine = await cloud.controller('c1', (name) => (name === 'shelve:stopped' ? accepted.promise : undefined));
    await database.db
      .updateTable('flavor')
      .set({ extra_specs: JSON.stringify({ 'godwit:max_vcpus': '2' }) })
      .execute();
    const id = await cloud.server(engine, 'node1');
    await engine.operations.scale(cloud.admin, id, { vcpus: 2 });
    await idle(id);
    const [own] = await rows('disk', id);
    await engine.operations.shelve(cloud.admin, id);
    expect(await read(id)).toMatchObject({ task_state: 'shelving', vm_state: 'active' });
    accepted.resolve();
    await idle(id);
    expect(await read(id)).toMatchObject({
      vm_state: 'shelved_offloaded',
      power_state: 4,
      host_id: null,
      custody: { holder: { kind: 'nowhere' } },
    });
    const [image, ...more] = await images(id);
    expect([image?.name, image?.status, image?.owner, more]).toEqual(['s-shelved', 'active', 'p1', []]);
    expect([await rows('disk', id), await rows('allocation', id)]).toEqual([[], []]);
    expect(host('node1').destroyedDisks).toEqual([own && 'id' in own ? own.id : '']);
    expect(await lastAction(id)).toMatchObject({
      action: 'shelve',
      message: null,
      events: [
        { event: 'compute_shelve_instance', result: 'Success' },
        { event: 'compute_shelve_offload_instance', result: 'Success' },
      ],
    });
    const { highest_epoch: before } = await read(id);
    await unshelve(engine, id, { host: 'node3' });
    expect(await read(id)).toMatchObject({ task_state: 'unshelving' });
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, host_id: host('node3').id, shelved: null });
    expect((await read(id)).epoch).toBeGreaterThan(before);
    expect(host('node3').madeDisks).toEqual([{ diskId: expect.any(String), imageId: image?.id }]);
    expect(await rows('allocation', id)).toMatchObject([{ host_id: host('node3').id, vcpus: 2, ram_mib: 512 }]);
    expect(host('node3').guests.get(id)?.vcpus).toBe(2);
    expect(await images(id)).toMatchObject([{ status: 'deleted' }]);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    // As the server of any image: it can be shelved again.
    await shelve(engine, id);
    expect(await read(id)).toMatchObject({ vm_state: 'shelved_offloaded' });
  });

  it('keeps its place where the cloud says so: it starts there again from its own disk; an admin offloads it', async () => {
    const engine = await controller(-1);
    const id = await cloud.server(engine, 'node1');
    const before = await rows('disk', id);
    await shelve(engine, id);
    expect(await read(id)).toMatchObject({ vm_state: 'shelved', power_state: 4, host_id: host('node1').id });
    expect([await rows('disk', id), (await rows('allocation', id)).length]).toEqual([before, 1]);
    await expect(unshelve(engine, id, { host: 'node2' })).rejects.toMatchObject({ code: 'Conflict' });
    const made = host('node1').madeDisks.length;
    await unshelve(engine, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id });
    expect([await rows('disk', id), host('node1').madeDisks.length]).toEqual([before, made]);
    expect(await images(id)).toMatchObject([{ status: 'deleted' }]);
    await shelve(engine, id);
    await engine.operations.shelveOffload(cloud.admin, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'shelved_offloaded', host_id: null });
    expect((await lastAction(id)).action).toBe('shelveOffload');
  });

  it('gives up its place by the clock', async () => {
    const engine = await controller(-1);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    expect(await read(id)).toMatchObject({ vm_state: 'shelved' });
    // One that has the clock, now that the state between was seen.
    await controller(1, 'c2');
    await until(async () => (await read(id)).vm_state === 'shelved_offloaded');
  });

  it('leaves a server whose disk cannot be copied stopped on its disk, and no image', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    const before = await rows('disk', id);
    host('node1').snapshot = null;
    await shelve(engine, id);
    expect(await read(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, shelved: null, host_id: host('node1').id });
    expect(await rows('disk', id)).toEqual(before);
    expect(await images(id)).toMatchObject([{ status: 'deleted' }]);
    expect(await lastAction(id)).toMatchObject({ message: 'Error', events: [{ result: 'Error', details: 'no space left for the copy' }] });
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('leaves a server that cannot be stopped as it was', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    host('node1').faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'it is being migrated') });
    await shelve(engine, id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', power_state: 1, shelved: null });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
  });

  it('asks again when the host falls silent while a guest is given its time: that is no time of the host', async () => {
    const id = await cloud.server(await controller(0), 'node1');
    host('node1').faults.push({ call: 'stopGuest', when: 'before', error: silence() });
    const context = { db: database.db, agents: fakeAgents(cloud.hosts), faultPoint: () => Promise.resolve() } as unknown as WorkflowContext;
    const run = {
      id: 'run',
      fence: (await read(id)).fence,
      signal: new AbortController().signal,
      pause: () => Promise.resolve(),
    } as unknown as WorkflowRun;
    expect(await stopGuest(context, run, id, 0, 60_000)).toMatchObject({ kind: 'stopped' });
    expect(runningCopies(cloud.hosts, id)).toBe(0);
  });

  it('stays on a host that does not delete its disk, and runs there from the image: a half deleted disk is never started', async () => {
    const engine = await controller(-1);
    const id = await cloud.server(engine, 'node1');
    const [own] = await rows('disk', id);
    await shelve(engine, id);
    host('node1').faults.push(
      ...Array.from({ length: 40 }, () => ({ call: 'destroyGuest', when: 'before', error: refusal('Internal', 'disk is busy') }) as const),
    );
    await engine.operations.shelveOffload(cloud.admin, id);
    await idle(id);
    host('node1').faults.length = 0;
    expect(await read(id)).toMatchObject({ vm_state: 'shelved', host_id: host('node1').id });
    expect(await lastAction(id)).toMatchObject({ message: 'Error', events: [{ details: 'Its host has not deleted its disk.' }] });
    await unshelve(engine, id);
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active' });
    expect(host('node1').madeDisks.at(-1)?.imageId).toBe((await images(id))[0]?.id);
    expect(host('node1').destroyedDisks).toEqual([own && 'id' in own ? own.id : '']);
  }, 40_000);

  it('takes its image with it when it is deleted, and no sooner', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    const image = await database.db.selectFrom('image').selectAll().where('name', '=', 's-shelved').executeTakeFirstOrThrow();
    // Not by hand: it is the only disk.
    await expect(deleteImage(database.db, cloud.admin, image)).rejects.toMatchObject({ code: 'Conflict' });
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null);
    expect(await images(id)).toMatchObject([{ status: 'deleted' }]);
  });

  it.each(['stop:answered', 'shelve:stopped', 'shelve:copied', 'shelve:shelved', 'offload:left', 'offload:removed'])(
    'goes on although its controller is killed at %s',
    async (point) => {
      const first = await dying(point);
      const id = await cloud.server(first.engine, 'node1');
      const [own] = await rows('disk', id);
      first.arm();
      await first.engine.operations.shelve(cloud.admin, id);
      await first.reached();
      expect(runningCopies(cloud.hosts, id)).toBe(0);
      const second = await first.succeed();
      await idle(id);
      expect((await lastAction(id)).events.map(({ details }) => details)).toEqual([null, null]);
      expect(await read(id)).toMatchObject({ vm_state: 'shelved_offloaded', host_id: null });
      expect([await rows('disk', id), await rows('allocation', id)]).toEqual([[], []]);
      expect((await images(id)).map(({ status }) => status)).toEqual(['active']);
      expect(new Set(host('node1').destroyedDisks)).toEqual(new Set([own && 'id' in own ? own.id : '']));
      // The image was whole before anything of the disk went.
      const calls = host('node1').calls.map(({ call }) => call);
      expect(calls.indexOf('destroyGuest')).toBeGreaterThan(calls.lastIndexOf('snapshotDisk'));
      await unshelve(second, id);
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'active' });
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      first.bury();
    },
  );
});

describe('unshelve', () => {
  it.each(['unshelve:scheduled', 'start:granted', 'start:answered', 'unshelve:started'])(
    'goes on although its controller is killed at %s: one copy, one claim, one disk',
    async (point) => {
      const first = await dying(point);
      const id = await cloud.server(first.engine, 'node1');
      await shelve(first.engine, id);
      first.arm();
      await unshelve(first.engine, id);
      await first.reached();
      expect((await images(id)).map(({ status }) => status)).toEqual(['active']);
      await first.succeed();
      await idle(id);
      expect(await read(id)).toMatchObject({ vm_state: 'active', shelved: null });
      expect(runningCopies(cloud.hosts, id)).toBe(1);
      expect([(await rows('allocation', id)).length, (await rows('disk', id)).length]).toEqual([1, 1]);
      expect((await images(id)).map(({ status }) => status)).toEqual(['deleted']);
      first.bury();
    },
  );

  it('tries another host when one fails, and leaves nothing on the first', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    for (const one of cloud.hosts.slice(0, 2))
      one.faults.push({ call: 'startGuest', when: 'before', error: refusal('NoSpace', 'no space left') });
    await unshelve(engine, id);
    await idle(id);
    const row = await read(id);
    expect(row).toMatchObject({ vm_state: 'active' });
    expect(await rows('allocation', id)).toMatchObject([{ host_id: row.host_id }]);
    expect(await rows('disk', id)).toHaveLength(1);
    expect((await lastAction(id)).message).toBeNull();
  });

  it('stays offloaded, with its image, when no host can start it or takes it', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    const stays = async () => {
      expect(await read(id)).toMatchObject({ vm_state: 'shelved_offloaded', task_state: null, host_id: null });
      expect([await rows('disk', id), await rows('allocation', id)]).toEqual([[], []]);
      expect((await images(id)).map(({ status }) => status)).toEqual(['active']);
    };
    for (const one of cloud.hosts) one.faults.push({ call: 'startGuest', when: 'before', error: refusal('NoSpace', 'no space left') });
    await unshelve(engine, id);
    await idle(id);
    await stays();
    expect(await lastAction(id)).toMatchObject({ message: 'Error' });
    for (const { id: one } of cloud.hosts)
      await database.db.updateTable('host').set({ enabled: false, disabled_reason: 'kernel update' }).where('id', '=', one).execute();
    await unshelve(engine, id);
    await idle(id);
    await stays();
    expect(await lastAction(id)).toMatchObject({
      message: 'Error',
      events: [{ event: 'schedule_instances', details: expect.stringContaining('kernel update') }],
    });
  });

  it('obeys its group: never beside a member that it must not meet', async () => {
    const engine = await controller(0);
    const [id, other] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node2')];
    const group = await database.db
      .insertInto('server_group')
      .values({
        id: crypto.randomUUID(),
        name: 'web',
        policy: 'anti-affinity',
        max_server_per_host: null,
        project_id: 'p1',
        user_id: 'u',
        deleted_at: null,
      })
      .returning('id')
      .executeTakeFirstOrThrow();
    for (const server_id of [id, other])
      await database.db.insertInto('server_group_member').values({ group_id: group.id, server_id }).execute();
    await shelve(engine, id);
    await unshelve(engine, id, { host: 'node2' });
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'shelved_offloaded', host_id: null });
    await unshelve(engine, id);
    await idle(id);
    const row = await read(id);
    expect(row.vm_state).toBe('active');
    expect(row.host_id).not.toBe(host('node2').id);
  });

  it('goes to the zone that is named, stays in it, and leaves it for null', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    const { id: aggregate } = await database.db
      .insertInto('aggregate')
      .values({ name: 'a', metadata: JSON.stringify({ availability_zone: 'az2' }), updated_at: null, deleted_at: null })
      .returning('id')
      .executeTakeFirstOrThrow();
    await database.db
      .insertInto('aggregate_host')
      .values({ aggregate_id: aggregate, host_id: host('node3').id })
      .execute();
    await expect(unshelve(engine, id, { zone: 'mars' })).rejects.toMatchObject({ code: 'BadRequest' });
    await expect(unshelve(engine, id, { zone: 'az2', host: 'node1' })).rejects.toMatchObject({ code: 'Conflict' });
    await expect(unshelve(engine, id, { host: 'mars' })).rejects.toMatchObject({ code: 'HostNotFound' });
    expect(await read(id)).toMatchObject({ task_state: null, requested_zone: null });
    await unshelve(engine, id, { zone: 'az2' });
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', host_id: host('node3').id, requested_zone: 'az2' });
    await shelve(engine, id);
    await expect(unshelve(engine, id, { host: 'node1' })).rejects.toMatchObject({ code: 'Conflict' });
    await unshelve(engine, id, { zone: null, host: 'node1' });
    await idle(id);
    expect(await read(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, requested_zone: null });
  });

  it('is overtaken by a delete, which leaves nothing', async () => {
    const engine = await controller(0);
    const id = await cloud.server(engine, 'node1');
    await shelve(engine, id);
    // Deleted meanwhile: the delete wins, and what the start has made is destroyed.
    const first = await dying('start:answered');
    await engine.stop();
    first.arm();
    await unshelve(first.engine, id);
    await first.reached();
    const second = await first.succeed();
    await second.operations.delete(cloud.admin, id);
    await until(async () => (await read(id)).deleted_at !== null);
    expect(runningCopies(cloud.hosts, id)).toBe(0);
    expect([await rows('disk', id), await rows('allocation', id)]).toEqual([[], []]);
    first.bury();
  });
});
