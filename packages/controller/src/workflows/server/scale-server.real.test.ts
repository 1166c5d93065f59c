import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import { serverUsage } from '../../quotas/usage.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { Engine } from '../engine.ts';
import { type FakeHost, refusal, silence } from '../testing/fake-agents.ts';
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
  await database.db
    .updateTable('flavor')
    .set({ extra_specs: JSON.stringify({ 'godwit:max_vcpus': '6' }) })
    .execute();
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

type Server = Parameters<Engine['operations']['start']>[1];
const host = (): FakeHost => {
  const [first] = cloud.hosts;
  if (first === undefined) throw new Error('no host');
  return first;
};
const read = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const idle = (id: string) => until(async () => (await read(id)).task_state === null);
/** Its row, the ledger, its guest. */
const seen = async (id: string) => {
  const claims = await database.db.selectFrom('allocation').select('vcpus').where('server_id', '=', id).execute();
  return [(await read(id)).flavor.scaled_vcpus, ...claims.map(({ vcpus }) => vcpus), host().guests.get(id)?.vcpus];
};
const lastEvent = async () =>
  database.db.selectFrom('instance_action_event').select(['event', 'result', 'details']).orderBy('id', 'desc').executeTakeFirstOrThrow();
async function scale(engine: Engine, id: Server, vcpus: number): Promise<void> {
  await engine.operations.scale(cloud.admin, id, { vcpus });
  await idle(id);
}

it('a running guest grows within what its flavor allows; row, ledger and quota follow; it shrinks when it is off', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  expect(await seen(id)).toEqual([undefined, 1, 1]);
  await scale(engine, id, 3);
  expect(await seen(id)).toEqual([3, 3, 3]);
  expect(await lastEvent()).toMatchObject({ event: 'compute_scale_server', result: 'Success' });
  expect((await serverUsage(database.db, 'p1', null)).cores).toBe(3);
  for (const [vcpus, code, words] of [
    [0, 'BadRequest', /1 to 6 vCPUs, not 0/],
    [7, 'BadRequest', /1 to 6 vCPUs, not 7/],
    [2, 'InvalidState', /has 3 vCPUs, and none is taken from a guest that runs/],
  ] as const)
    await expect(scale(engine, id, vcpus)).rejects.toMatchObject({ code, message: expect.stringMatching(words) });
  expect(await seen(id)).toEqual([3, 3, 3]);
  await engine.operations.stop(cloud.admin, id);
  await idle(id);
  await scale(engine, id, 2);
  expect((await seen(id)).slice(0, 2)).toEqual([2, 2]);
  await engine.operations.start(cloud.admin, id);
  await idle(id);
  expect(await seen(id)).toEqual([2, 2, 2]);
  // A move takes it along, and claims as much.
  const moved = await engine.operations.migrate(cloud.admin, id, { host: 'node2' });
  await until(async () => (await read(id)).vm_state === 'resized');
  expect((await seen(id)).slice(0, 3)).toEqual([2, 2, 2]);
  expect(cloud.hosts[1]?.guests.get(id)?.vcpus).toBe(2);
  expect(moved).toBeTruthy();
});

it('refused, nothing changed: a flavor without a maximum, a host without room, a quota that is reached, a host that does not answer', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  host().facts = { cores: 1 };
  await database.db
    .updateTable('host')
    .set((eb) => ({ facts: eb.fn('jsonb_set', ['facts', eb.val('{cores}'), eb.val('1')]) as never }))
    .where('name', '=', 'node1')
    .execute();
  await expect(scale(engine, id, 2)).rejects.toMatchObject({
    code: 'NoValidHost',
    message: expect.stringMatching(/needs 2 vCPUs, the host has 1 cores/),
  });
  // What a host has is not a member's to know.
  await expect(engine.operations.scale({ ...cloud.admin, isAdmin: false, roles: ['member'] }, id, { vcpus: 2 })).rejects.toMatchObject({
    message: expect.stringMatching(/2 vCPUs where it is\. A resize/),
  });
  host().facts = {};
  await database.db
    .updateTable('host')
    .set((eb) => ({ facts: eb.fn('jsonb_set', ['facts', eb.val('{cores}'), eb.val('6')]) as never }))
    .where('name', '=', 'node1')
    .execute();
  await database.db.insertInto('quota_limit').values({ project_id: 'p1', user_id: '', resource: 'cores', hard_limit: 2 }).execute();
  await expect(scale(engine, id, 3)).rejects.toMatchObject({ code: 'OverQuota' });
  await database.db.updateTable('host').set({ forced_down: true }).where('name', '=', 'node1').execute();
  await expect(scale(engine, id, 2)).rejects.toMatchObject({ code: 'SourceServiceDown' });
  await database.db.updateTable('flavor').set({ extra_specs: '{}' }).execute();
  const fixed = await cloud.server(engine, 'node2');
  await expect(scale(engine, fixed, 2)).rejects.toMatchObject({ code: 'BadRequest', message: expect.stringMatching(/godwit:max_vcpus/) });
  expect(await seen(id)).toEqual([undefined, 1, 1]);
});

it('what its host has room for, its own claim counted once; of two that would overfill it together one is scaled', async () => {
  const engine = await cloud.controller('c1');
  const [one, two, other] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node1'), await cloud.server(engine, 'node1')];
  host().facts = { cores: 3 };
  await database.db
    .updateTable('host')
    .set((eb) => ({ facts: eb.fn('jsonb_set', ['facts', eb.val('{cores}'), eb.val('3')]) as never }))
    .where('name', '=', 'node1')
    .execute();
  // Of four for each core, one is free.
  await database.db.updateTable('allocation').set({ vcpus: 9 }).where('server_id', '=', other).execute();
  await expect(scale(engine, one, 3)).rejects.toMatchObject({
    code: 'NoValidHost',
    message: expect.stringMatching(/needs 3 vCPUs, 2 free/),
  });
  const answers = await Promise.allSettled([one, two].map((id) => engine.operations.scale(cloud.admin, id, { vcpus: 2 })));
  expect(answers.map(({ status }) => status).toSorted()).toEqual(['fulfilled', 'rejected']);
  expect(answers.find(({ status }) => status === 'rejected')).toMatchObject({ reason: { code: 'NoValidHost' } });
  await Promise.all([one, two].map(idle));
  const claimed = await database.db
    .selectFrom('allocation')
    .select(({ fn }) => fn.sum<string>('vcpus').as('sum'))
    .executeTakeFirstOrThrow();
  expect(Number(claimed.sum)).toBe(12);
});

it('what a host gave before it failed is what the server has, in row and ledger; an agent that knows no scaling gave nothing', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  host().faults.push({ call: 'scaleGuest', when: 'before', error: refusal('HotPlugUnsupported', 'every place is taken') });
  Object.assign(host().guests.get(id) ?? {}, { vcpus: 2 });
  await scale(engine, id, 4);
  expect(await seen(id)).toEqual([2, 2, 2]);
  expect(await lastEvent()).toMatchObject({ result: 'Error', details: 'every place is taken; the guest has 2 vCPUs' });
  host().faults.push({ call: 'scaleGuest', when: 'before', error: refusal('NotImplemented', 'no such call') });
  await scale(engine, id, 5);
  expect(await seen(id)).toEqual([2, 2, 2]);
  // Asked again when the answer was lost, or when an earlier call is carried out still.
  host().faults.push(
    { call: 'scaleGuest', when: 'after', error: silence() },
    { call: 'scaleGuest', when: 'before', error: refusal('Conflict', 'another operation has not ended') },
  );
  await scale(engine, id, 4);
  expect(await seen(id)).toEqual([4, 4, 4]);
  expect(await lastEvent()).toMatchObject({ result: 'Success' });
});

it('a host that stays silent: what was asked for is kept for it, and given up when the host tells that its guest has less', async () => {
  const engine = await cloud.controller('c1', undefined, undefined, undefined, undefined, undefined, 100);
  const id = await cloud.server(engine, 'node1');
  host().faults.push(...Array.from({ length: 200 }, () => ({ call: 'scaleGuest', when: 'before', error: silence() }) as const));
  host().faults.push(...Array.from({ length: 200 }, () => ({ call: 'listGuests', when: 'before', error: silence() }) as const));
  await scale(engine, id, 4);
  expect(await seen(id)).toEqual([4, 4, 1]);
  expect(await lastEvent()).toMatchObject({
    result: 'Error',
    details: expect.stringContaining('it is not known how many vCPUs') as string,
  });
  host().faults.length = 0;
  await until(async () => (await read(id)).flavor.scaled_vcpus === 1);
  // What a host tells while the order may still be carried out is not its end.
  host().faults.push(...Array.from({ length: 200 }, () => ({ call: 'scaleGuest', when: 'before', error: silence() }) as const));
  await scale(engine, id, 2);
  expect(await lastEvent()).toMatchObject({ details: expect.stringContaining('it is not known how many vCPUs') as string });
  host().faults.length = 0;
  await until(async () => (await read(id)).flavor.scaled_vcpus === 1);
  expect(await seen(id)).toEqual([1, 1, 1]);
  // A database from before the first scaling.
  Object.assign(host().guests.get(id) ?? {}, { vcpus: 3 });
  await database.db.updateTable('server').set({ flavor: sql`flavor - 'scaled_vcpus'` }).where('id', '=', id).execute();
  await until(async () => (await read(id)).flavor.scaled_vcpus === 3);
  expect(await seen(id)).toEqual([3, 3, 3]);
});

it('a guest is suspended with the vCPUs of its row, also when the answer is lost and its host is asked again', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  await scale(engine, id, 3);
  host().faults.push({ call: 'suspendGuest', when: 'after', error: silence() });
  await engine.operations.suspend(cloud.admin, id);
  await idle(id);
  expect(await read(id)).toMatchObject({ vm_state: 'suspended' });
  expect(await lastEvent()).toMatchObject({ event: 'compute_suspend_instance', result: 'Success' });
  expect(host().guests.get(id)?.vcpus).toBe(3);
  await engine.operations.resume(cloud.admin, id);
  await idle(id);
  expect(await seen(id)).toEqual([3, 3, 3]);
});

it('one at a time; what a controller that dies leaves is finished by the next', async () => {
  const killed = Promise.withResolvers<never>();
  killed.promise.catch(() => {});
  let died = false;
  const engine = await cloud.controller('c1', async (name) => {
    if (name !== 'scale:answered') return;
    died = true;
    await killed.promise;
  });
  const id = await cloud.server(engine, 'node1');
  const answers = await Promise.allSettled([3, 4].map((vcpus) => engine.operations.scale(cloud.admin, id, { vcpus })));
  const took = answers.findIndex(({ status }) => status === 'fulfilled') + 3;
  expect(answers[4 - took]).toMatchObject({ status: 'rejected', reason: { code: 'InvalidState' } });
  await until(async () => died);
  expect(await read(id)).toMatchObject({ task_state: 'scaling' });
  for (const refused of [
    () => engine.operations.scale(cloud.admin, id, { vcpus: 5 }),
    () => engine.operations.migrate(cloud.admin, id, { host: null }),
    () => engine.operations.stop(cloud.admin, id),
  ])
    await expect(refused()).rejects.toMatchObject({ code: 'InvalidState' });
  await cloud.controller('c1');
  await idle(id);
  killed.reject(new Error('killed'));
  expect(await seen(id)).toEqual([took, took, took]);
  expect(await lastEvent()).toMatchObject({ event: 'compute_scale_server', result: 'Success' });
  await engine.operations.pause(cloud.admin, id);
  await idle(id);
  await expect(scale(engine, id, 5)).rejects.toMatchObject({ code: 'InvalidState' });
  expect(await seen(id)).toEqual([took, took, took]);
});

/** Its row, the ledger, its guest: memory, of flavors with 512 MiB. */
const seenRam = async (id: string) => {
  const claims = await database.db.selectFrom('allocation').select('ram_mib').where('server_id', '=', id).execute();
  return [(await read(id)).flavor.scaled_ram_mib, ...claims.map(({ ram_mib }) => ram_mib), host().guests.get(id)?.ramMib];
};
async function scalableRam(engine: Engine): Promise<Server> {
  await database.db
    .updateTable('flavor')
    .set({ extra_specs: JSON.stringify({ 'godwit:max_vcpus': '6', 'godwit:max_ram_mib': '1024' }) })
    .execute();
  return cloud.server(engine, 'node1');
}
async function scaleRam(engine: Engine, id: Server, ramMib: number, vcpus?: number): Promise<void> {
  await engine.operations.scale(cloud.admin, id, { ramMib, ...(vcpus !== undefined && { vcpus }) });
  await idle(id);
}

it('memory is claimed before its guest has it, and let go when its guest has given it back; a stopped server and a move have what it was scaled to', async () => {
  let held = Promise.withResolvers<void>();
  held.resolve();
  let answers = 0;
  const engine = await cloud.controller('c1', async (name) => {
    if (name !== 'scale:answered') return;
    answers += 1;
    await held.promise;
  });
  const id = await scalableRam(engine);
  expect(await seenRam(id)).toEqual([undefined, 512, 512]);
  for (const [ramMib, begun] of [
    [768, [768, 768, 768]],
    [640, [768, 768, 640]],
  ] as const) {
    held = Promise.withResolvers<void>();
    const before = answers;
    await engine.operations.scale(cloud.admin, id, { ramMib });
    await until(async () => answers > before);
    expect(await seenRam(id)).toEqual(begun);
    held.resolve();
    await idle(id);
    expect(await seenRam(id)).toEqual([ramMib, ramMib, ramMib]);
    expect(await lastEvent()).toMatchObject({ event: 'compute_scale_server', result: 'Success' });
  }
  expect((await serverUsage(database.db, 'p1', null)).ram).toBe(640);
  await scaleRam(engine, id, 704, 3);
  expect([await seen(id), await seenRam(id)]).toEqual([
    [3, 3, 3],
    [704, 704, 704],
  ]);
  await engine.operations.stop(cloud.admin, id);
  await idle(id);
  await scaleRam(engine, id, 576);
  expect((await seenRam(id)).slice(0, 2)).toEqual([576, 576]);
  await engine.operations.start(cloud.admin, id);
  await idle(id);
  expect(await seenRam(id)).toEqual([576, 576, 576]);
  await engine.operations.migrate(cloud.admin, id, { host: 'node2' });
  await until(async () => (await read(id)).vm_state === 'resized');
  expect((await seenRam(id)).slice(0, 3)).toEqual([576, 576, 576]);
  expect(cloud.hosts[1]?.guests.get(id)?.ramMib).toBe(576);
});

it('memory is refused, nothing changed: a size that it cannot have, a flavor without a maximum, a host without room, a quota that is reached', async () => {
  const engine = await cloud.controller('c1');
  const id = await scalableRam(engine);
  for (const [ramMib, words] of [
    [510, /512 to 1024 MiB of memory, not 510/],
    [1026, /not 1026/],
    [601, /600 for one, and not 601/],
  ] as const)
    await expect(scaleRam(engine, id, ramMib)).rejects.toMatchObject({ code: 'BadRequest', message: expect.stringMatching(words) });
  // vCPUs that could be had do not come alone.
  await expect(scaleRam(engine, id, 510, 3)).rejects.toMatchObject({ code: 'BadRequest' });
  await database.db.insertInto('quota_limit').values({ project_id: 'p1', user_id: '', resource: 'ram', hard_limit: 600 }).execute();
  await expect(scaleRam(engine, id, 768)).rejects.toMatchObject({ code: 'OverQuota' });
  host().facts = { ramMib: 700 };
  await database.db
    .updateTable('host')
    .set((eb) => ({ facts: eb.fn('jsonb_set', ['facts', eb.val('{ramMib}'), eb.val('700')]) as never }))
    .where('name', '=', 'node1')
    .execute();
  await database.db.deleteFrom('quota_limit').execute();
  await expect(scaleRam(engine, id, 768)).rejects.toMatchObject({
    code: 'NoValidHost',
    message: expect.stringMatching(/cannot have 768 MiB of memory where it is: it needs 768 MB, 700 MB free/),
  });
  expect([await seenRam(id), await seen(id)]).toEqual([
    [undefined, 512, 512],
    [undefined, 1, 1],
  ]);
  await database.db.updateTable('flavor').set({ extra_specs: '{}' }).execute();
  const fixed = await cloud.server(engine, 'node2');
  await expect(scaleRam(engine, fixed, 768)).rejects.toMatchObject({
    code: 'BadRequest',
    message: expect.stringMatching(/godwit:max_ram_mib/),
  });
});

it('what a guest took or gave back of what was asked for is what the server has; an agent that knows no such order gave nothing', async () => {
  const engine = await cloud.controller('c1');
  const id = await scalableRam(engine);
  const refuse = (code: Parameters<typeof refusal>[0], words: string) =>
    host().faults.push({ call: 'scaleMemory', when: 'before', error: refusal(code, words) });
  refuse('InvalidState', 'the guest took 64 of 256 MiB: it has 576 MiB');
  Object.assign(host().guests.get(id) ?? {}, { ramMib: 576 });
  await scaleRam(engine, id, 768);
  expect(await seenRam(id)).toEqual([576, 576, 576]);
  expect(await lastEvent()).toMatchObject({
    result: 'Error',
    details: 'the guest took 64 of 256 MiB: it has 576 MiB; the guest has 576 MiB of memory',
  });
  // Shrinking lets nothing go that its guest has not given back.
  refuse('InvalidState', 'the guest gave back 32 of 64 MiB');
  Object.assign(host().guests.get(id) ?? {}, { ramMib: 544 });
  await scaleRam(engine, id, 512);
  expect(await seenRam(id)).toEqual([544, 544, 544]);
  for (const ramMib of [768, 512]) {
    refuse('NotImplemented', 'no such call');
    await scaleRam(engine, id, ramMib);
    expect(await seenRam(id)).toEqual([544, 544, 544]);
  }
  // vCPUs that do not come keep memory from being asked for, and what was claimed for it is let go.
  host().faults.push({ call: 'scaleGuest', when: 'before', error: refusal('NotImplemented', 'no such call') });
  await scaleRam(engine, id, 768, 3);
  expect([await seen(id), await seenRam(id)]).toEqual([
    [1, 1, 1],
    [544, 544, 544],
  ]);
});

it('a host that stays silent: the larger of what a guest had and was asked to have is kept for it, until its host tells', async () => {
  const engine = await cloud.controller('c1', undefined, undefined, undefined, undefined, undefined, 100);
  const id = await scalableRam(engine);
  const silent = (call: 'scaleMemory' | 'listGuests') =>
    Array.from({ length: 200 }, () => ({ call, when: 'before', error: silence() }) as const);
  for (const [ramMib, kept] of [
    [768, [768, 768, 512]],
    [512, [768, 768, 768]],
  ] as const) {
    host().faults.push(...silent('scaleMemory'), ...silent('listGuests'));
    await scaleRam(engine, id, ramMib);
    expect(await seenRam(id)).toEqual(kept);
    expect(await lastEvent()).toMatchObject({ result: 'Error', details: expect.stringContaining('not known how much memory') as string });
    host().faults.length = 0;
    const tells = ramMib === 768 ? 768 : 576;
    Object.assign(host().guests.get(id) ?? {}, { ramMib: tells });
    await until(async () => (await seenRam(id)).every((one) => one === tells));
  }
});
