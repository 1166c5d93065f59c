import { randomUUID } from 'node:crypto';
import type { HostFacts } from '@godwit/domain/host';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Db } from '../../../store/database.ts';
import { startTestServer, type TestServer } from '../../../store/test-database.ts';
import { startTestApi, type TestApi } from '../../test-api.ts';

let server: TestServer;
let api: TestApi;
let db: Db;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  db = (await server.database()).db;
  api = await startTestApi(db);
  for (const [name, zone, facts] of [
    ['node1', 'az1', {}],
    ['node2', 'az2', {}],
    ['metal1', null, { hypervisorType: 'ironic', qemuVersion: '', pools: [] }],
  ] as const)
    await newHost(name, zone, facts);
});
afterEach(() => expect(api.unexpected).toEqual([]));

async function newHost(name: string, zone: string | null, facts: Partial<HostFacts> = {}): Promise<string> {
  const id = randomUUID();
  const all = factsFixture({ bootedAtMs: Date.now() - 90_000_000, ...facts });
  await db
    .insertInto('host')
    .values({
      id,
      name,
      hypervisor_type: all.hypervisorType,
      address: '10.77.0.11',
      rpc_port: 8781,
      reachable: true,
      last_seen_at: new Date(),
      facts: JSON.stringify(all),
    })
    .execute();
  if (zone !== null) {
    const { id: aggregate } = await db
      .insertInto('aggregate')
      .values({ name: zone, metadata: JSON.stringify({ availability_zone: zone }) })
      .returning('id')
      .executeTakeFirstOrThrow();
    await db.insertInto('aggregate_host').values({ aggregate_id: aggregate, host_id: id }).execute();
  }
  return id;
}
const hostId = async (name: string) =>
  await db.selectFrom('host').select(['id', 'api_id', 'service_id']).where('name', '=', name).executeTakeFirstOrThrow();
async function newServer(host: string, migratingTo?: string): Promise<string> {
  const id = randomUUID();
  const { id: host_id } = await hostId(host);
  await db
    .insertInto('server')
    .values({
      id,
      name: `on-${host}`,
      hostname: 's',
      project_id: 'p1',
      user_id: 'u',
      vm_state: 'active',
      task_state: migratingTo === undefined ? null : 'migrating',
      host_id,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
    })
    .execute();
  const claim = { server_id: id, vcpus: 2, ram_mib: 2048, disk_gib: 10 };
  if (migratingTo === undefined)
    await db
      .insertInto('allocation')
      .values({ ...claim, consumer_id: id, consumer_type: 'server', host_id })
      .execute();
  else {
    await db
      .insertInto('allocation')
      .values({ ...claim, consumer_id: randomUUID(), consumer_type: 'migration', host_id })
      .execute();
    await db
      .insertInto('allocation')
      .values({ ...claim, consumer_id: id, consumer_type: 'server', host_id: (await hostId(migratingTo)).id })
      .execute();
  }
  return id;
}
const get = async (path: string, microversion = '2.1') => {
  const answer = await api.call('GET', `/compute/v2.1${path}`, { microversion });
  return { code: answer.statusCode, ...answer.json() };
};
const send = async (method: 'PUT' | 'POST' | 'DELETE', path: string, body?: object, microversion = '2.1') => {
  const answer = await api.call(method, `/compute/v2.1${path}`, { microversion, ...(body === undefined ? {} : { body }) });
  return { code: answer.statusCode, ...(answer.body === '' ? {} : answer.json()) };
};
/** Every microversion at which a shape of these resources changes, and its neighbour below. */
const microversions = [
  '2.1',
  '2.10',
  '2.11',
  '2.22',
  '2.23',
  '2.27',
  '2.28',
  '2.32',
  '2.33',
  '2.40',
  '2.41',
  '2.42',
  '2.43',
  '2.52',
  '2.53',
  '2.68',
  '2.69',
  '2.74',
  '2.75',
  '2.87',
  '2.88',
  '2.93',
];

it.each(microversions)('every list and show has its closed shape at %s', async (microversion) => {
  await newServer('node1');
  const minor = Number(microversion.slice(2));
  const { id, api_id } = await hostId('node1');
  const hypervisor = minor >= 53 ? id : api_id;
  const expected: [string, number][] = [
    ['/os-services', 200],
    ['/os-hypervisors', 200],
    ['/os-hypervisors/detail', 200],
    [`/os-hypervisors/${hypervisor}`, 200],
    ['/os-hypervisors/statistics', minor < 88 ? 200 : 404],
    [`/os-hypervisors/${hypervisor}/uptime`, minor < 88 ? 200 : 404],
    ['/os-hypervisors/node/search', minor < 53 ? 200 : 404],
    ['/os-hypervisors/node/servers', minor < 53 ? 200 : 404],
    ['/os-aggregates', 200],
    ['/os-aggregates/1', 200],
    ['/os-availability-zone', 200],
    ['/os-availability-zone/detail', 200],
    ['/os-hosts', minor < 43 ? 200 : 404],
    ['/os-hosts/node1', minor < 43 ? 200 : 404],
  ];
  for (const [path, code] of expected) expect([path, (await get(path, microversion)).code]).toEqual([path, code]);
});

describe('services', () => {
  it('are enabled, disabled with a reason and forced down, by name below 2.53', async () => {
    const named = { host: 'node1', binary: 'nova-compute' };
    expect(await send('PUT', '/os-services/disable', named)).toEqual({ code: 200, service: { ...named, status: 'disabled' } });
    expect((await send('PUT', '/os-services/disable-log-reason', { ...named, disabled_reason: 'kernel update' })).service).toEqual({
      ...named,
      status: 'disabled',
      disabled_reason: 'kernel update',
    });
    expect((await get('/os-services?host=node1')).services).toMatchObject([
      { binary: 'nova-compute', zone: 'az1', status: 'disabled', state: 'up', disabled_reason: 'kernel update' },
    ]);
    expect((await send('PUT', '/os-services/force-down', { ...named, forced_down: true }, '2.11')).service.forced_down).toBe(true);
    expect((await get('/os-services?host=node1', '2.11')).services[0]).toMatchObject({ state: 'down', forced_down: true });
    expect((await send('PUT', '/os-services/force-down', { ...named, forced_down: true }, '2.10')).code).toBe(404);
    expect((await send('PUT', '/os-services/enable', named)).service.status).toBe('enabled');
    expect((await get('/os-services?binary=nova-compute&host=node1')).services[0].disabled_reason).toBeNull();
    expect((await send('PUT', '/os-services/enable', { host: 'nobody', binary: 'nova-compute' })).code).toBe(404);
    expect((await send('PUT', '/os-services/disable-log-reason', named)).code).toBe(400);
    expect((await send('PUT', '/os-services/disable-log-reason', { ...named, disabled_reason: ' ' })).code).toBe(400);
  });

  it('by id from 2.53 on, with the whole service as answer', async () => {
    const { service_id } = await hostId('node2');
    const path = `/os-services/${service_id}`;
    expect((await send('PUT', path, { status: 'disabled', disabled_reason: 'x' }, '2.53')).service).toMatchObject({
      id: service_id,
      status: 'disabled',
      disabled_reason: 'x',
      forced_down: false,
    });
    expect((await send('PUT', path, { forced_down: true }, '2.69')).service).toMatchObject({ state: 'down', status: 'disabled' });
    expect((await send('PUT', path, { status: 'enabled', forced_down: false }, '2.69')).service).toMatchObject({
      state: 'up',
      status: 'enabled',
      disabled_reason: null,
    });
    for (const [body, code] of [
      [{}, 400],
      [{ disabled_reason: 'x' }, 400],
      [{ status: 'enabled', disabled_reason: 'x' }, 400],
      [{ status: 'off' }, 400],
      [{ color: 'red' }, 400],
    ] as const) {
      expect([body, (await send('PUT', path, body, '2.53')).code]).toEqual([body, code]);
    }
    expect((await send('PUT', `/os-services/${randomUUID()}`, { status: 'enabled' }, '2.53')).code).toBe(404);
    expect((await send('PUT', '/os-services/12', { status: 'enabled' }, '2.53')).code).toBe(400);
    expect((await send('PUT', '/os-services/12', { status: 'enabled' }, '2.52')).code).toBe(404);
    // The words of before are no ids.
    for (const word of ['enable', 'disable', 'disable-log-reason', 'force-down'])
      expect(await send('PUT', `/os-services/${word}`, { status: 'enabled' }, '2.53')).toMatchObject({
        code: 400,
        badRequest: { message: `Invalid uuid ${word}` },
      });
    expect((await send('PUT', '/os-services/enable', { host: 'node1', binary: 'nova-compute' }, '2.53')).code).toBe(400);
    expect((await get('/os-services?color=red', '2.74')).code).toBe(200);
    expect((await get('/os-services?color=red', '2.75')).code).toBe(400);
    const told = await db.selectFrom('event').select('data').where('kind', '=', 'host').execute();
    expect(told.length).toBe(3);
  });

  it('shows controllers as services that cannot be changed', async () => {
    await db.insertInto('executor').values({ id: 'a:1', name: 'a', application_version: '1' }).execute();
    const [controller] = (await get('/os-services?binary=nova-conductor', '2.53')).services;
    expect(controller).toMatchObject({ host: 'a', zone: 'internal', state: 'up' });
    expect((await send('PUT', `/os-services/${controller.id}`, { status: 'disabled' }, '2.53')).code).toBe(400);
    expect((await get('/os-availability-zone/detail')).availabilityZoneInfo[0]).toMatchObject({
      zoneName: 'internal',
      hosts: { a: { 'nova-conductor': { available: true } } },
    });
    expect((await get('/os-availability-zone')).availabilityZoneInfo.map((zone: { zoneName: string }) => zone.zoneName)).toEqual([
      'az1',
      'az2',
      'nova',
    ]);
  });

  it('is deleted only when nothing lives there or moves there', async () => {
    await newServer('node1', 'node2');
    for (const [name, why] of [
      ['node1', 'Unable to delete compute service that is hosting instances. Migrate or delete the instances first.'],
      ['node2', 'Unable to delete compute service that has in-progress migrations. Complete the migrations or delete the instances first.'],
    ] as const)
      expect([name, await send('DELETE', `/os-services/${(await hostId(name)).service_id}`, undefined, '2.53')]).toEqual([
        name,
        { code: 409, conflictingRequest: { code: 409, message: why } },
      ]);
    // A server that holds nothing there (one in error) lives there all the same.
    const bare = await newServer('metal1');
    await db.deleteFrom('allocation').where('server_id', '=', bare).execute();
    expect((await send('DELETE', `/os-services/${(await hostId('metal1')).api_id}`)).code).toBe(409);
    await db.updateTable('server').set({ deleted_at: new Date() }).where('id', '=', bare).execute();
    expect((await send('DELETE', `/os-services/${(await hostId('metal1')).api_id}`)).code).toBe(204);
    expect((await get('/os-services?host=metal1')).services).toEqual([]);
    expect((await get('/os-hypervisors?hypervisor_hostname_pattern=metal', '2.53')).code).toBe(404);
    expect((await send('DELETE', `/os-services/${randomUUID()}`, undefined, '2.53')).code).toBe(404);
    expect((await send('DELETE', '/os-services/x', undefined, '2.53')).code).toBe(400);
  });

  it('are for admins', async () => {
    const member = await api.user('member');
    for (const path of [
      '/os-services',
      '/os-hypervisors',
      '/os-hypervisors/detail',
      '/os-aggregates',
      '/os-availability-zone/detail',
      '/os-hosts',
      '/os-hypervisors/statistics',
    ]) {
      const answer = await api.call('GET', `/compute/v2.1${path}`, { as: member });
      expect([path, answer.statusCode]).toEqual([path, 403]);
    }
    expect((await api.call('GET', '/compute/v2.1/os-availability-zone', { as: member })).statusCode).toBe(200);
  });
});

describe('hypervisors', () => {
  it('count what the ledger holds, a move on both hosts', async () => {
    await newServer('node1');
    await newServer('node1', 'node2');
    const byName = Object.fromEntries(
      (await get('/os-hypervisors/detail')).hypervisors.map((one: { hypervisor_hostname: string }) => [one.hypervisor_hostname, one]),
    );
    expect(byName['node1']).toMatchObject({
      vcpus: 16,
      vcpus_used: 4,
      memory_mb: 65_536,
      memory_mb_used: 4096,
      free_ram_mb: 61_440,
      local_gb: 1280,
      local_gb_used: 20,
      running_vms: 2,
      current_workload: 1,
      hypervisor_version: 10_000_002,
      hypervisor_type: 'QEMU',
    });
    expect(byName['node2']).toMatchObject({ vcpus_used: 2, running_vms: 0 });
    expect(byName['metal1']).toMatchObject({ hypervisor_type: 'ironic', local_gb: 0 });
    expect(JSON.parse(byName['node1'].cpu_info)).toMatchObject({ model: 'EPYC' });
    expect((await get('/os-hypervisors/statistics')).hypervisor_statistics).toMatchObject({
      count: 3,
      vcpus: 48,
      vcpus_used: 6,
      running_vms: 2,
      memory_mb: 196_608,
    });
    await send('PUT', '/os-services/disable', { host: 'node2', binary: 'nova-compute' });
    expect((await get('/os-hypervisors/statistics')).hypervisor_statistics.count).toBe(2);
  });

  it('with their servers', async () => {
    const id = await newServer('node1');
    expect((await get('/os-hypervisors/node1/servers')).hypervisors).toMatchObject([{ servers: [{ name: 'on-node1', uuid: id }] }]);
    expect((await get('/os-hypervisors/node2/servers')).hypervisors[0].servers).toBeUndefined();
    expect((await get('/os-hypervisors/nobody/servers')).code).toBe(404);
    const lists = async (microversion: string) =>
      (await get('/os-hypervisors?with_servers=true', microversion)).hypervisors.map((one: { servers?: unknown[] }) => one.servers?.length);
    expect(await lists('2.53')).toEqual([1, undefined, undefined]);
    expect(await lists('2.75')).toEqual([1, 0, 0]);
    expect((await get(`/os-hypervisors/${(await hostId('node1')).id}?with_servers=true`, '2.93')).hypervisor.servers).toEqual([
      { name: 'on-node1', uuid: id },
    ]);
    expect((await get('/os-hypervisors?with_servers=maybe', '2.53')).code).toBe(400);
  });

  it('are paged, searched and not found as the contract says', async () => {
    const first = await get('/os-hypervisors?limit=2', '2.53');
    expect(first.hypervisors.length).toBe(2);
    const next = first.hypervisors_links[0].href.replace('http://localhost:80/compute/v2.1', '');
    expect((await get(next, '2.53')).hypervisors.map((one: { hypervisor_hostname: string }) => one.hypervisor_hostname)).toEqual([
      'metal1',
    ]);
    expect((await get('/os-hypervisors?limit=1', '2.32')).hypervisors.length).toBe(3);
    for (const [path, microversion, code] of [
      ['/os-hypervisors?limit=1&hypervisor_hostname_pattern=node', '2.53', 400],
      ['/os-hypervisors?marker=nobody', '2.33', 400],
      ['/os-hypervisors?limit=-1', '2.33', 400],
      ['/os-hypervisors?hypervisor_hostname_pattern=nobody', '2.53', 404],
      ['/os-hypervisors/99', '2.1', 404],
      ['/os-hypervisors/node1', '2.1', 404],
      ['/os-hypervisors/99', '2.53', 400],
      [`/os-hypervisors/${randomUUID()}`, '2.53', 404],
      ['/os-hypervisors/nobody/search', '2.1', 404],
      ['/os-hypervisors?color=red', '2.75', 400],
    ] as const)
      expect([path, (await get(path, microversion)).code]).toEqual([path, code]);
  });
});

describe('aggregates', () => {
  const create = async (aggregate: object) => (await send('POST', '/os-aggregates', { aggregate })).aggregate;
  const act = (id: number, action: object) => send('POST', `/os-aggregates/${id}/action`, action);

  it('live their life', async () => {
    const made = await create({ name: 'ssd', availability_zone: null });
    expect(made).toMatchObject({ name: 'ssd', availability_zone: null, updated_at: null });
    expect((await act(made.id, { add_host: { host: 'node1' } })).aggregate).toMatchObject({ hosts: ['node1'] });
    expect((await act(made.id, { set_metadata: { metadata: { ssd: 'true', old: 'x' } } })).aggregate.metadata).toEqual({
      ssd: 'true',
      old: 'x',
    });
    expect((await act(made.id, { set_metadata: { metadata: { old: null } } })).aggregate.metadata).toEqual({ ssd: 'true' });
    const updated = await send('PUT', `/os-aggregates/${made.id}`, { aggregate: { name: 'fast' } }, '2.41');
    expect(updated.aggregate).toMatchObject({ name: 'fast', hosts: ['node1'], uuid: expect.any(String) });
    expect((await send('DELETE', `/os-aggregates/${made.id}`)).code).toBe(400);
    await act(made.id, { remove_host: { host: 'node1' } });
    expect((await send('DELETE', `/os-aggregates/${made.id}`)).code).toBe(200);
    expect((await get(`/os-aggregates/${made.id}`)).code).toBe(404);
    expect((await create({ name: 'fast' })).name).toBe('fast');
  });

  it("are refused with the contract's codes, unchanged", async () => {
    const { id } = await create({ name: 'a' });
    const before = await get('/os-aggregates');
    for (const [method, path, body, code] of [
      ['POST', '/os-aggregates', { aggregate: { name: 'a' } }, 409],
      ['POST', '/os-aggregates', { aggregate: { name: '' } }, 400],
      ['POST', '/os-aggregates', { aggregate: { name: 'x'.repeat(256) } }, 400],
      ['POST', '/os-aggregates', { aggregate: { name: 'b', availability_zone: 'a:b' } }, 400],
      ['POST', '/os-aggregates', { aggregate: {} }, 400],
      ['PUT', `/os-aggregates/${id}`, { aggregate: {} }, 400],
      ['PUT', `/os-aggregates/${id}`, { aggregate: { name: 'az1' } }, 409],
      ['PUT', '/os-aggregates/x', { aggregate: { name: 'b' } }, 400],
      ['PUT', '/os-aggregates/999', { aggregate: { name: 'b' } }, 404],
      ['DELETE', '/os-aggregates/999', undefined, 404],
      ['DELETE', '/os-aggregates/x', undefined, 400],
      ['POST', `/os-aggregates/${id}/action`, { add_host: { host: 'nobody' } }, 404],
      ['POST', `/os-aggregates/${id}/action`, { remove_host: { host: 'node1' } }, 404],
      ['POST', `/os-aggregates/${id}/action`, { paint: {} }, 400],
      ['POST', `/os-aggregates/${id}/action`, { add_host: { host: 'node1' }, remove_host: { host: 'node1' } }, 400],
      ['POST', `/os-aggregates/${id}/action`, { set_metadata: { metadata: { a: 1 } } }, 400],
      ['POST', '/os-aggregates/999/action', { add_host: { host: 'node1' } }, 404],
      ['POST', '/os-aggregates/1/action', { add_host: { host: 'node1' } }, 409],
      ['POST', '/os-aggregates/1/action', { add_host: { host: 'node2' } }, 409],
    ] as const)
      expect([path, JSON.stringify(body)?.slice(0, 80), (await send(method, path, body)).code]).toEqual([
        path,
        JSON.stringify(body)?.slice(0, 80),
        code,
      ]);
    expect(await get('/os-aggregates')).toEqual(before);
  });

  it('a zone with servers in it stays where it is, an empty one may move', async () => {
    await newServer('node1');
    expect((await send('PUT', '/os-aggregates/1', { aggregate: { availability_zone: 'elsewhere' } })).code).toBe(400);
    expect((await act(1, { set_metadata: { metadata: { availability_zone: 'elsewhere' } } })).code).toBe(400);
    expect((await act(1, { set_metadata: { metadata: { color: 'red' } } })).code).toBe(200);
    expect((await send('PUT', '/os-aggregates/2', { aggregate: { availability_zone: 'elsewhere' } })).aggregate).toMatchObject({
      availability_zone: 'elsewhere',
      metadata: { availability_zone: 'elsewhere' },
    });
    expect((await get('/os-services?host=node2')).services[0].zone).toBe('elsewhere');
  });

  it('a host never gets into two zones, also when both are asked for at once', async () => {
    const zones = await Promise.all(['x', 'y', 'z'].map((zone) => create({ name: zone, availability_zone: zone })));
    const answers = await Promise.all(zones.map((zone) => act(zone.id, { add_host: { host: 'metal1' } })));
    expect(answers.map((answer) => answer.code).toSorted()).toEqual([200, 409, 409]);
  });
});

describe('os-hosts', () => {
  it('lists, shows and updates below 2.43', async () => {
    await newServer('node1');
    expect((await get('/os-hosts?zone=az1')).hosts).toEqual([{ host_name: 'node1', service: 'compute', zone: 'az1' }]);
    const resources = (await get('/os-hosts/node1')).host.map((one: { resource: { project: string; cpu: number } }) => [
      one.resource.project,
      one.resource.cpu,
    ]);
    expect(resources).toEqual([
      ['(total)', 16],
      ['(used_now)', 2],
      ['(used_max)', 2],
      ['p1', 2],
    ]);
    expect((await get('/os-hosts/nobody')).code).toBe(404);
    expect(await send('PUT', '/os-hosts/node1', { status: 'disable' })).toEqual({ code: 200, host: 'node1', status: 'disabled' });
    expect((await send('PUT', '/os-hosts/node1', { maintenance_mode: 'enable' })).code).toBe(501);
    expect((await send('PUT', '/os-hosts/node1', {})).code).toBe(400);
    expect((await get('/os-hosts/node1/reboot')).code).toBe(501);
  });
});
