import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { TestUser } from '../test-api.ts';
import { startTestCloud, type TestCloud } from './test-cloud.ts';

let server: TestServer;
let cloud: TestCloud;
let member: TestUser;
beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db);
  member = await cloud.user('member');
}, 60_000);
afterAll(() => server.stop());

const act = (id: string, body: object, as: TestUser = cloud.admin, microversion = '2.1') =>
  cloud.call('POST', `/compute/v2.1/servers/${id}/action`, { as, microversion, body });
const moves = (id: string) => cloud.db.selectFrom('migration').selectAll().where('server_id', '=', id).execute();
const shown = async (id: string): Promise<Record<string, unknown>> =>
  (await cloud.call('GET', `/compute/v2.1/servers/${id}`)).json().server;
const words = (answer: Awaited<ReturnType<typeof act>>): unknown =>
  Object.values(answer.json<Record<string, { message: string }>>())[0]?.message;
const waiting = async (): Promise<string> => {
  const id = await cloud.server(member, { vm_state: 'resized' });
  await cloud.migration(id, { type: 'migration', status: 'finished', phase: 'finished' });
  return id;
};

describe('migrate', () => {
  it.each([
    ['2.1', null, null],
    ['2.55', { host: 'no such host' }, null],
    ['2.55', {}, null],
    ['2.56', null, null],
    ['2.56', {}, null],
    ['2.56', { host: null }, null],
    ['2.56', { host: 'node2' }, 'node2'],
    ['2.93', { host: 'node2' }, 'node2'],
  ] as const)('at %s with %j asks for %s', async (microversion, args, host) => {
    const id = await cloud.server(member);
    const answer = await act(id, { migrate: args }, cloud.admin, microversion);
    expect([answer.statusCode, answer.body]).toEqual([202, '']);
    expect(await shown(id)).toMatchObject({ status: 'RESIZE', 'OS-EXT-STS:task_state': 'resize_prep' });
    expect(await moves(id)).toMatchObject([
      { type: 'migration', status: 'pre-migrating', requested_host: host, source_host_id: cloud.hosts.node1, destination_host_id: null },
    ]);
    const history = (await cloud.call('GET', `/compute/v2.1/servers/${id}/os-instance-actions`)).json().instanceActions;
    expect(history[0]).toMatchObject({ action: 'migrate', request_id: answer.headers['x-openstack-request-id'] });
    expect(words(await act(id, { migrate: null }))).toBe(`Cannot 'migrate' instance ${id} while it is in task_state resize_prep`);
  });

  it.each([
    ['2.56', { host: 'a b' }],
    ['2.56', { host: 3 }],
    ['2.56', { color: 1 }],
    ['2.56', 'node2'],
  ] as const)('400 at %s for %j', async (microversion, args) => {
    const id = await cloud.server(member);
    expect((await act(id, { migrate: args }, cloud.admin, microversion)).statusCode).toBe(400);
    expect(await moves(id)).toEqual([]);
  });

  it('refuses in the API’s words and order', async () => {
    const id = await cloud.server(member);
    expect((await act(id, { migrate: null }, member)).statusCode).toBe(403);
    expect(words(await act(id, { migrate: null }, member))).toBe(
      "Policy doesn't allow os_compute_api:os-migrate-server:migrate to be performed.",
    );
    expect((await act(id, { migrate: null }, await cloud.user('member'))).statusCode).toBe(404);
    const named = (host: string) => act(id, { migrate: { host } }, cloud.admin, '2.56');
    expect([(await named('mars')).statusCode, words(await named('mars'))]).toEqual([400, 'Compute host mars could not be found.']);
    expect([(await named('node1')).statusCode, words(await named('node1'))]).toEqual([
      400,
      'Cannot migrate to the host where the server exists.',
    ]);
    expect((await named('metal1')).statusCode).toBe(400);
    await cloud.db.updateTable('host').set({ reachable: false }).where('name', '=', 'node1').execute();
    const down = await named('mars');
    await cloud.db.updateTable('host').set({ reachable: true }).where('name', '=', 'node1').execute();
    expect([down.statusCode, words(down)]).toEqual([409, 'Service is unavailable at this time.']);
    await cloud.db.updateTable('server').set({ vm_state: 'paused' }).where('id', '=', id).execute();
    expect([(await named('mars')).statusCode, words(await named('mars'))]).toEqual([
      409,
      `Cannot 'migrate' instance ${id} while it is in vm_state paused`,
    ]);
    const metal = await cloud.server(member, { host_id: cloud.hosts.metal1 });
    expect([(await act(metal, { migrate: null })).statusCode, words(await act(metal, { migrate: null }))]).toEqual([
      409,
      'bare metal instances cannot be migrated',
    ]);
    expect([await moves(id), await moves(metal)]).toEqual([[], []]);
  });

  it('409 while a migration that the server was reset out of has not ended', async () => {
    const id = await waiting();
    await act(id, { 'os-resetState': { state: 'active' } });
    expect((await act(id, { migrate: null })).statusCode).toBe(409);
    expect((await shown(id))['OS-EXT-STS:task_state']).toBeNull();
  });
});

describe('resize', () => {
  it('is for the owner, to another flavor', async () => {
    await cloud.db
      .insertInto('flavor')
      .values({ id: 'f2', name: 'larger', vcpus: 2, ram_mib: 1024, disk_gib: 2, extra_specs: '{}' })
      .execute();
    const id = await cloud.server(member);
    expect([
      (await act(id, { resize: { flavorRef: 'f9' } }, member)).statusCode,
      (await act(id, { resize: { flavorRef: 'f1' } }, member)).statusCode,
    ]).toEqual([400, 400]);
    expect((await act(id, { resize: {} }, member)).statusCode).toBe(400);
    expect((await act(id, { resize: { flavorRef: 'f2' } }, member)).statusCode).toBe(202);
    expect(await shown(id)).toMatchObject({ status: 'RESIZE' });
    const [move] = await moves(id);
    expect(move).toMatchObject({ type: 'resize', old_flavor_id: 'f1', new_flavor_id: 'f2' });
    const listed = (await cloud.call('GET', `/compute/v2.1/os-migrations?instance_uuid=${id}`, { microversion: '2.23' })).json().migrations;
    expect(listed).toMatchObject([{ migration_type: 'resize', status: 'pre-migrating', dest_compute: null, source_compute: 'node1' }]);
  });
});

describe('confirmResize and revertResize', () => {
  it('are for the owner: 204 and 202, once', async () => {
    const [one, other] = [await waiting(), await waiting()];
    const confirmed = await act(one, { confirmResize: null }, member);
    expect([confirmed.statusCode, confirmed.body]).toEqual([204, '']);
    expect(await shown(one)).toMatchObject({ status: 'VERIFY_RESIZE', 'OS-EXT-STS:task_state': null });
    expect(await moves(one)).toMatchObject([{ status: 'confirming' }]);
    const again = await act(one, { confirmResize: null }, member);
    expect([again.statusCode, words(again)]).toEqual([400, 'Instance has not been resized.']);
    expect((await act(one, { revertResize: null }, member)).statusCode).toBe(400);
    expect((await act(other, { revertResize: null }, member)).statusCode).toBe(202);
    expect(await shown(other)).toMatchObject({ status: 'REVERT_RESIZE', 'OS-EXT-STS:task_state': 'resize_reverting' });
    expect((await act(other, { revertResize: null }, member)).statusCode).toBe(409);
  });

  it('409 where nothing waits, 400 where no record says so', async () => {
    const id = await cloud.server(member);
    expect(words(await act(id, { confirmResize: null }))).toBe(`Cannot 'confirmResize' instance ${id} while it is in vm_state active`);
    expect(words(await act(id, { revertResize: null }))).toBe(`Cannot 'revertResize' instance ${id} while it is in vm_state active`);
    const odd = await cloud.server(member, { vm_state: 'resized' });
    for (const action of ['confirmResize', 'revertResize'])
      expect([(await act(odd, { [action]: null })).statusCode, words(await act(odd, { [action]: null }))]).toEqual([
        400,
        'Instance has not been resized.',
      ]);
  });

  it('a revert to a host that is down is refused, and names none', async () => {
    const id = await waiting();
    await cloud.db.updateTable('host').set({ forced_down: true }).where('name', '=', 'node1').execute();
    const answer = await act(id, { revertResize: null }, member);
    await cloud.db.updateTable('host').set({ forced_down: false }).where('name', '=', 'node1').execute();
    expect(answer.statusCode).toBe(409);
    expect(words(answer)).toMatch(/the host that it came from is down/);
    expect(answer.body).not.toContain('node1');
    expect(await shown(id)).toMatchObject({ status: 'VERIFY_RESIZE' });
  });
});
