import { randomUUID } from 'node:crypto';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { afterAll, afterEach, beforeAll, beforeEach, expect, it } from 'vitest';
import type { Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { startTestApi, type TestApi } from '../test-api.ts';
import { registerPlacement } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let db: Db;
const [node1, node2, migration, moving] = [randomUUID(), randomUUID(), randomUUID(), randomUUID()];
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  db = (await server.database()).db;
  const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
  api = await startTestApi(db, {
    more: async (app, context) =>
      void (await app.register(
        async (scope) => registerPlacement(scope, { ...context, config: { ...context.config, ...ratios } }, { checkResponses: true }),
        { prefix: '/placement' },
      )),
  });
  for (const [id, name, enabled] of [
    [node1, 'node1', true],
    [node2, 'node2', false],
  ] as const) {
    await db
      .insertInto('host')
      .values({
        id,
        name,
        enabled,
        hypervisor_type: 'QEMU',
        address: '10.77.0.11',
        rpc_port: 8781,
        reachable: true,
        facts: JSON.stringify(factsFixture()),
      })
      .execute();
  }
  await db
    .insertInto('server')
    .values({
      id: moving,
      name: 's',
      hostname: 's',
      project_id: 'p1',
      user_id: 'u1',
      vm_state: 'active',
      task_state: 'migrating',
      host_id: node1,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
    })
    .execute();
  const claim = { server_id: moving, vcpus: 2, ram_mib: 2048, disk_gib: 0 };
  await db
    .insertInto('allocation')
    .values([
      { ...claim, consumer_id: migration, consumer_type: 'migration', host_id: node1 },
      { ...claim, consumer_id: moving, consumer_type: 'server', host_id: node2 },
    ])
    .execute();
});
afterEach(() => expect(api.unexpected).toEqual([]));

const get = async (path: string, version = '1.39') => {
  const answer = await api.call('GET', `/placement${path}`, { headers: { 'openstack-api-version': `placement ${version}` } });
  return { code: answer.statusCode, headers: answer.headers, body: answer.json() };
};

it('tells its versions without a token, and a 406 tells the range', async () => {
  const root = await api.call('GET', '/placement/', { as: null });
  expect(root.json().versions[0]).toMatchObject({ id: 'v1.0', min_version: '1.0', max_version: '1.39', status: 'CURRENT' });
  const refused = await get('/resource_providers', '1.40');
  expect(refused.body.errors[0]).toMatchObject({
    status: 406,
    title: 'Not Acceptable',
    max_version: '1.39',
    min_version: '1.0',
    detail: expect.stringContaining('1.40'),
  });
  expect((await get('/resource_providers', 'x')).code).toBe(400);
  const unauthorised = await api.call('GET', '/placement/resource_providers', { as: null });
  expect([unauthorised.statusCode, unauthorised.json().errors[0].detail]).toEqual([401, expect.any(String)]);
  expect((await get('/resource_providers', '1.14')).headers['openstack-api-version']).toBe('placement 1.14');
  const member = await api.user('member');
  expect((await api.call('GET', '/placement/resource_providers', { as: member })).statusCode).toBe(403);
});

it.each([
  '1.0',
  '1.1',
  '1.6',
  '1.9',
  '1.10',
  '1.11',
  '1.12',
  '1.14',
  '1.16',
  '1.17',
  '1.19',
  '1.27',
  '1.28',
  '1.29',
  '1.34',
  '1.38',
  '1.39',
])('every answer has its closed shape at %s', async (version) => {
  const minor = Number(version.slice(2));
  for (const [path, min] of [
    ['/resource_providers', 0],
    [`/resource_providers/${node1}`, 0],
    [`/resource_providers/${node1}/inventories`, 0],
    [`/resource_providers/${node1}/inventories/VCPU`, 0],
    [`/resource_providers/${node1}/usages`, 0],
    [`/resource_providers/${node1}/aggregates`, 1],
    [`/resource_providers/${node1}/traits`, 6],
    [`/resource_providers/${node1}/allocations`, 0],
    [`/allocations/${moving}`, 0],
    [`/allocations/${randomUUID()}`, 0],
    ['/usages?project_id=p1', 9],
    ['/allocation_candidates?resources=VCPU:1', 10],
    ['/traits', 6],
    ['/resource_classes', 2],
  ] as const)
    expect([path, (await get(path, version)).code]).toEqual([path, minor >= min ? 200 : 404]);
});

it('reads the ledger: in a move the migration holds the source and the server the destination', async () => {
  expect((await get(`/allocations/${migration}`)).body).toMatchObject({
    allocations: { [node1]: { resources: { VCPU: 2, MEMORY_MB: 2048 } } },
    project_id: 'p1',
    user_id: 'u1',
    consumer_type: 'MIGRATION',
  });
  expect((await get(`/allocations/${moving}`)).body).toMatchObject({
    allocations: { [node2]: { resources: { VCPU: 2, MEMORY_MB: 2048 } } },
    consumer_type: 'INSTANCE',
  });
  expect((await get(`/resource_providers/${node1}/usages`)).body.usages).toEqual({ VCPU: 2, MEMORY_MB: 2048, DISK_GB: 0 });
  expect((await get(`/resource_providers/${node1}/inventories`)).body.inventories).toMatchObject({
    VCPU: { total: 16, allocation_ratio: 4 },
    MEMORY_MB: { total: 65_536 },
    DISK_GB: { total: 1280 },
  });
  expect((await get('/usages?project_id=p1', '1.37')).body.usages).toEqual({ VCPU: 4, MEMORY_MB: 4096 });
  expect((await get('/usages?project_id=p1')).body.usages).toMatchObject({
    INSTANCE: { consumer_count: 1, VCPU: 2 },
    MIGRATION: { consumer_count: 1 },
  });
  expect((await get(`/resource_providers/${node2}/traits`)).body.traits).toContain('COMPUTE_STATUS_DISABLED');
});

it('finds candidates with room for all of it', async () => {
  const candidates = async (query: string) => Object.keys((await get(`/allocation_candidates?${query}`)).body.provider_summaries);
  expect(await candidates('resources=VCPU:16,MEMORY_MB:63488')).toEqual([node1, node2]);
  expect(await candidates('resources=MEMORY_MB:63489')).toEqual([]);
  expect(await candidates('resources=VCPU:17')).toEqual([]);
  expect(await candidates('resources=VCPU:1&limit=1')).toEqual([node1]);
  expect(await candidates('resources=VCPU:1&required=!COMPUTE_STATUS_DISABLED')).toEqual([node1]);
  expect(await candidates(`resources=VCPU:1&in_tree=${node2}`)).toEqual([node2]);
  for (const query of ['', 'resources=', 'resources=VCPU', 'resources=VCPU:0', 'resources=GPU:1', 'resources=VCPU:1&limit=-1'])
    expect([query, (await get(`/allocation_candidates?${query}`)).code]).toEqual([query, 400]);
});

it('a key that its list does not know at that microversion is refused, not left out', async () => {
  for (const [path, refusing, passing] of [
    ['/resource_providers?colour=red', '1.0', null],
    ['/resource_providers?name=node1&uuid=x', null, '1.0'],
    [`/resource_providers?member_of=${randomUUID()}`, '1.2', '1.3'],
    ['/resource_providers?resources=VCPU:1', '1.3', '1.4'],
    [`/resource_providers?in_tree=${node1}`, '1.13', '1.14'],
    ['/resource_providers?required=HW_X', '1.17', '1.18'],
    ['/allocation_candidates?resources=VCPU:1&limit=1', '1.15', '1.16'],
    ['/allocation_candidates?resources=VCPU:1&required=HW_X', '1.16', '1.17'],
    ['/allocation_candidates?resources=VCPU:1&group_policy=none', '1.24', '1.25'],
    ['/allocation_candidates?resources=VCPU:1&resources1=VCPU:1', '1.39', null],
    ['/allocation_candidates?resources=VCPU:1&limit=0', '1.39', null],
    ['/usages?user_id=u', '1.9', null],
    ['/usages?project_id=p&user_id=u', null, '1.9'],
    ['/usages?project_id=p&consumer_type=all', '1.37', '1.38'],
  ] as const) {
    const codeAt = async (version: string | null) => (version === null ? null : (await get(path, version)).code);
    expect([path, await codeAt(refusing), await codeAt(passing)]).toEqual([path, refusing && 400, passing && 200]);
  }
});

it('filters providers, does not know others, writes nothing', async () => {
  const names = async (query: string) =>
    (await get(`/resource_providers?${query}`)).body.resource_providers.map((provider: { name: string }) => provider.name);
  expect(await names('name=node2')).toEqual(['node2']);
  expect(await names(`uuid=${node1}`)).toEqual(['node1']);
  expect(await names('required=COMPUTE_STATUS_DISABLED')).toEqual(['node2']);
  expect(await names(`member_of=${randomUUID()}`)).toEqual([]);
  for (const path of [
    `/resource_providers/${randomUUID()}`,
    '/resource_providers/x/usages',
    '/allocations/x',
    `/resource_providers/${node1}/inventories/GPU`,
    '/nothing',
  ])
    expect([path, (await get(path)).code]).toEqual([path, 404]);
  const written = await api.call('PUT', `/placement/allocations/${moving}`, { body: {} });
  expect([written.statusCode, written.headers['allow'], written.json().errors[0].status]).toEqual([405, 'GET', 405]);
});
