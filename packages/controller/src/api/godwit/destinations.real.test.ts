import { randomUUID } from 'node:crypto';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { sql } from 'kysely';
import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { AppContext } from '../../app-context.ts';
import type { Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { startTestApi, type TestApi } from '../test-api.ts';
import { godwitPlugin } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let db: Db;
const ids: Record<string, string> = {};
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
        async (scope) => godwitPlugin(scope, { ...context, config: { ...context.config, ...ratios } } as unknown as AppContext),
        { prefix: '/godwit/v1' },
      )),
  });
  for (const name of ['node1', 'node2', 'node3', 'metal1']) {
    const id = (ids[name] = randomUUID());
    const facts = factsFixture(name === 'metal1' ? { hypervisorType: 'ironic' } : {});
    await db
      .insertInto('host')
      .values({
        id,
        name,
        hypervisor_type: facts.hypervisorType,
        address: '10.77.0.11',
        rpc_port: 8781,
        reachable: true,
        facts: JSON.stringify(facts),
      })
      .execute();
  }
});

async function newServer(
  host: string,
  over: { ram?: number; vm_state?: 'active' | 'stopped'; storage?: 'shared' | 'local' } = {},
): Promise<string> {
  const id = randomUUID();
  const flavor = {
    name: 'f',
    vcpus: 1,
    ram_mib: over.ram ?? 1024,
    disk_gib: 1,
    ephemeral_gib: 0,
    swap_mib: 0,
    extra_specs: host === 'metal1' ? { 'capabilities:hypervisor_type': 'ironic' } : {},
  };
  await db
    .insertInto('server')
    .values({
      id,
      name: `on-${host}`,
      hostname: 's',
      project_id: 'p1',
      user_id: 'u',
      vm_state: over.vm_state ?? 'active',
      task_state: null,
      host_id: ids[host] ?? '',
      flavor_id: 'f',
      flavor: JSON.stringify(flavor),
      reservation_id: 'r',
    })
    .execute();
  await db
    .insertInto('allocation')
    .values({
      consumer_id: id,
      consumer_type: 'server',
      server_id: id,
      host_id: ids[host] ?? '',
      vcpus: 1,
      ram_mib: flavor.ram_mib,
      disk_gib: 1,
    })
    .execute();
  const storage = over.storage ?? 'shared';
  await db
    .insertInto('disk')
    .values({ id: randomUUID(), server_id: id, device_index: 0, pool: storage, storage, format: 'qcow2', size_bytes: 2 ** 30 })
    .execute();
  return id;
}
async function group(policy: 'anti-affinity' | 'affinity', ...members: string[]): Promise<void> {
  const id = randomUUID();
  await db
    .insertInto('server_group')
    .values({ id, name: 'web', policy, max_server_per_host: null, project_id: 'p1', user_id: 'u' })
    .execute();
  for (const member of members) await db.insertInto('server_group_member').values({ group_id: id, server_id: member }).execute();
}
const get = async (id: string, query = '', as = api.admin) => {
  const answer = await api.call('GET', `/godwit/v1/servers/${id}/destinations${query}`, { as });
  return { code: answer.statusCode, ...answer.json() };
};
const told = (answer: { hosts: { name: string; rank: number | null; reasons: { sentence: string }[] }[] }) =>
  Object.fromEntries(answer.hosts.map((host) => [host.name, host.rank ?? host.reasons.map((reason) => reason.sentence).join('; ')]));

describe('destinations', () => {
  it('tells every host, the reason, the rank and the load', async () => {
    const moving = await newServer('node1');
    await newServer('node2', { ram: 20_000 });
    const answer = await get(moving);
    expect(answer).toMatchObject({ code: 200, type: 'live', block: 'auto', refusal: null, chosen: { name: 'node3' }, summary: null });
    expect(told(answer)).toEqual({ node3: 1, node2: 2, node1: 'the server is on this host', metal1: 'bare metal: nothing is moved to it' });
    expect(answer.hosts[0]).toMatchObject({
      loadBefore: { ramMib: { used: 0, capacity: 65_536 } },
      loadAfter: { ramMib: { used: 1024 } },
      why: ['2 % loaded afterwards', 'no move under way into it'],
      tiedWithBest: true,
    });
    expect(answer.hosts[1].tiedWithBest).toBe(false);
  });

  it('says what is in the way, group rules included, and sums it up', async () => {
    const [moving, other] = [await newServer('node1'), await newServer('node2')];
    await group('anti-affinity', moving, other);
    await db.updateTable('host').set({ enabled: false, disabled_reason: 'kernel update' }).where('name', '=', 'node3').execute();
    const answer = await get(moving);
    expect(answer.chosen).toBeNull();
    expect(told(answer)).toMatchObject({
      node2: 'anti-affinity: server on-node2 of group web runs here',
      node3: 'disabled: kernel update',
    });
    expect(answer.summary).toContain('NoValidHost: none of 4 hosts passes.');
  });

  it("knows the server's own state: storage, power, bare metal", async () => {
    const local = await newServer('node1', { storage: 'local' });
    expect((await get(local, '?block=false')).hosts.find((host: { name: string }) => host.name === 'node2').reasons[0].code).toBe(
      'LocalDisk',
    );
    expect((await get(local, '?block=false')).refusal.code).toBe('InvalidSharedStorage');
    // With its disk copied, hosts that do not reach its pool are candidates.
    for (const query of ['', '?block=true']) {
      const answer = await get(local, query);
      expect(answer).toMatchObject({ refusal: null, chosen: { name: expect.any(String) } });
      expect(answer.hosts.find((host: { name: string }) => host.name === 'node2').verdict).toBe('passes');
    }
    expect((await get(await newServer('node1'), '?block=true')).refusal.code).toBe('InvalidLocalStorage');
    const stopped = await newServer('node1', { vm_state: 'stopped' });
    expect((await get(stopped)).refusal).toMatchObject({ code: 'InvalidState' });
    expect((await get(stopped, '?type=cold')).refusal).toBeNull();
    expect((await get(await newServer('metal1'))).refusal).toMatchObject({ code: 'BareMetalCannotMigrate' });
  });

  it.each(['live', 'cold'])('refuses hosts whose agent cannot build the machine (%s)', async (type) => {
    const id = await newServer('node1');
    await db.updateTable('server').set({ device_layout: 2, launched_at: new Date() }).where('id', '=', id).execute();
    const { deviceLayout: _layout, ...older } = factsFixture({ agentVersion: '0.0.9' });
    await db
      .updateTable('host')
      .set({ facts: JSON.stringify(older) })
      .where('name', '=', 'node2')
      .execute();
    const answer = await get(id, `?type=${type}`);
    expect(answer.chosen).toMatchObject({ name: 'node3' });
    expect(answer.hosts.find((host: { name: string }) => host.name === 'node2').reasons).toEqual([
      {
        filter: 'device-layout',
        code: 'DeviceLayout',
        sentence: "the server's machine has device layout 2, agent 0.0.9 here builds up to 1",
        smallestChange: 'update the agent of this host',
      },
    ]);
    // The first layout, with a card in a place that such an agent does not know.
    await db.updateTable('server').set({ device_layout: 1 }).where('id', '=', id).execute();
    expect((await get(id, `?type=${type}`)).hosts.find((host: { name: string }) => host.name === 'node2').verdict).toBe('passes');
    const network = randomUUID();
    await db.insertInto('network').values({ id: network, name: 'net', project_id: 'p1' }).execute();
    await db
      .insertInto('port')
      .values({ id: randomUUID(), network_id: network, project_id: 'p1', server_id: id, mac: 'fa:16:3e:00:00:01', device_index: 1 })
      .execute();
    expect(told(await get(id, `?type=${type}`))).toMatchObject({
      node2: "the server's network cards are in places 1, agent 0.0.9 here builds them one after the other",
    });
  });

  it('is for admins, of servers that exist, with parameters that mean something', async () => {
    const id = await newServer('node1');
    expect((await get(id, '', await api.user('member'))).code).toBe(403);
    for (const unknown of [randomUUID(), 'x']) expect((await get(unknown)).code).toBe(404);
    for (const query of ['?type=warm', '?block=maybe', '?color=red']) expect([query, (await get(id, query)).code]).toEqual([query, 400]);
    expect(await db.selectFrom('allocation').select('host_id').execute()).toEqual([{ host_id: ids['node1'] }]);
  });
});

it('tells whom it belongs to how far a server can be scaled, and nobody else', async () => {
  const id = await newServer('node1');
  await db
    .updateTable('server')
    .set({ flavor: sql`flavor || '{"scaled_vcpus": 3, "extra_specs": {"godwit:max_vcpus": "4"}}'` })
    .where('id', '=', id)
    .execute();
  const ask = async (of: string, as = api.admin) => {
    const answer = await api.call('GET', `/godwit/v1/servers/${of}/scale`, { as });
    return { code: answer.statusCode, ...answer.json() };
  };
  expect(await ask(id)).toMatchObject({ code: 200, server: { id, taskState: null, vcpus: { current: 3, least: 1, most: 4 } } });
  const fixed = await newServer('node1');
  expect(await ask(fixed)).toMatchObject({ server: { vcpus: { current: 1, least: 1, most: 1 } } });
  const missing = { code: 404, error: { code: 'ServerNotFound' } };
  expect(await ask(id, await api.user('member'))).toMatchObject(missing);
  expect([await ask(randomUUID()), await ask('web-1')]).toMatchObject([missing, missing]);
});
