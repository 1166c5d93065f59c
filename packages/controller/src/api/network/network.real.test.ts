import { randomUUID } from 'node:crypto';
import { sql } from 'kysely';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import type { Database, Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { startTestApi, type TestApi, type TestUser } from '../test-api.ts';
import { registerNetwork } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let database: Database;
let db: Db;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  database = await server.database();
  db = database.db;
  api = await startTestApi(db, {
    more: async (app, context) =>
      void (await app.register(async (scope) => registerNetwork(scope, context, { checkResponses: true }), { prefix: '/network' })),
  });
});
afterEach(() => expect(api.unexpected).toEqual([]));

const v2 = '/network/v2.0';
const post = async (collection: string, body: object, as?: TestUser) => {
  const answer = await api.call('POST', `${v2}/${collection}`, {
    body: { [collection.slice(0, -1)]: body },
    ...(as === undefined ? {} : { as }),
  });
  return { ...(answer.statusCode === 201 ? answer.json()[collection.slice(0, -1)] : answer.json()), code: answer.statusCode };
};
const list = async (path: string, as?: TestUser) => (await api.call('GET', `${v2}/${path}`, as === undefined ? {} : { as })).json();

it('discovery needs no token', async () => {
  expect((await api.call('GET', '/network/', { as: null })).json().versions[0]).toMatchObject({ id: 'v2.0', status: 'CURRENT' });
  const refused = await api.call('GET', `${v2}/networks`, { as: null });
  expect([refused.statusCode, refused.json().NeutronError.type]).toEqual([401, 'HTTPUnauthorized']);
  expect((await list('extensions')).extensions.map((extension: { alias: string }) => extension.alias)).toContain('net-mtu');
  expect((await api.call('GET', `${v2}/extensions/availability_zone`)).statusCode).toBe(404);
});

describe('networks, subnets and ports', () => {
  it('are made, shown, changed and deleted in an order that fits', async () => {
    const network = await post('networks', { name: 'demo', admin_state_up: true });
    expect(network).toMatchObject({ code: 201, name: 'demo', subnets: [], mtu: 1500, 'router:external': false });
    const subnet = await post('subnets', { network_id: network.id, ip_version: 4, cidr: '10.1.0.0/24', dns_nameservers: ['9.9.9.9'] });
    expect(subnet).toMatchObject({
      code: 201,
      gateway_ip: '10.1.0.1',
      allocation_pools: [{ start: '10.1.0.2', end: '10.1.0.254' }],
      ip_version: 4,
    });
    const v6 = await post('subnets', { network_id: network.id, ip_version: 6, cidr: 'fd00:1::/64' });
    expect(v6).toMatchObject({ gateway_ip: 'fd00:1::1', allocation_pools: [{ start: 'fd00:1::2', end: 'fd00:1::ffff:ffff:ffff:ffff' }] });
    const port = await post('ports', { network_id: network.id, name: 'p' });
    expect(port.fixed_ips).toEqual([
      { subnet_id: subnet.id, ip_address: '10.1.0.2' },
      { subnet_id: v6.id, ip_address: 'fd00:1::2' },
    ]);
    const fixed = await post('ports', {
      network_id: network.id,
      fixed_ips: [{ ip_address: '10.1.0.77' }],
      mac_address: '02:00:00:00:00:AA',
    });
    expect(fixed).toMatchObject({
      code: 201,
      mac_address: '02:00:00:00:00:aa',
      fixed_ips: [{ subnet_id: subnet.id, ip_address: '10.1.0.77' }],
      device_owner: '',
    });
    expect((await post('ports', { network_id: network.id, fixed_ips: [{ ip_address: '10.1.0.77' }] })).code).toBe(409);
    expect((await post('ports', { network_id: network.id, mac_address: '02:00:00:00:00:aa' })).code).toBe(409);
    expect((await list(`networks/${network.id}`)).network.subnets).toEqual([subnet.id, v6.id]);
    expect((await list('networks?name=demo')).networks.length).toBe(1);
    expect((await list('networks?name=other')).networks).toEqual([]);
    expect((await list('networks?name=demo&fields=id&fields=name')).networks).toEqual([{ id: network.id, name: 'demo' }]);
    expect((await list('ports?fixed_ips=ip_address%3D10.1.0.77')).ports.map((one: { id: string }) => one.id)).toEqual([fixed.id]);
    expect((await list('subnets?ip_version=6')).subnets.map((one: { id: string }) => one.id)).toEqual([v6.id]);
    const put = await api.call('PUT', `${v2}/networks/${network.id}`, { body: { network: { name: 'renamed', mtu: 9000 } } });
    expect([put.statusCode, put.json().network.name, put.json().network.mtu]).toEqual([200, 'renamed', 9000]);
    for (const [path, status] of [
      [`networks/${network.id}`, 409],
      [`subnets/${subnet.id}`, 409],
      [`ports/${port.id}`, 204],
      [`ports/${fixed.id}`, 204],
      [`subnets/${subnet.id}`, 204],
      [`networks/${network.id}`, 204],
      [`networks/${network.id}`, 404],
      [`subnets/${v6.id}`, 404],
    ] as const) {
      expect([path, (await api.call('DELETE', `${v2}/${path}`)).statusCode]).toEqual([path, status]);
    }
  });

  it("refuse bad input with Neutron's shape, changing nothing", async () => {
    const network = await post('networks', { name: 'n' });
    await post('subnets', { network_id: network.id, cidr: '10.1.0.0/24' });
    const cases: [string, object, number][] = [
      ['networks', { name: 5 }, 400],
      ['networks', { color: 'red' }, 400],
      ['networks', { mtu: 10 }, 400],
      ['subnets', { network_id: network.id, cidr: '10.1.0.128/25' }, 400],
      ['subnets', { network_id: network.id, cidr: '10.2.0.1/24' }, 400],
      ['subnets', { network_id: network.id, cidr: '10.2.0.0/24', ip_version: 6 }, 400],
      ['subnets', { network_id: network.id, cidr: '10.2.0.0/24', dns_nameservers: ['x'] }, 400],
      ['subnets', { network_id: randomUUID(), cidr: '10.2.0.0/24' }, 404],
      ['subnets', { cidr: '10.2.0.0/24' }, 400],
      ['ports', { network_id: randomUUID() }, 404],
      ['ports', { network_id: network.id, fixed_ips: [{ ip_address: '10.9.0.1' }] }, 400],
      ['ports', { network_id: network.id, fixed_ips: [{ ip_address: '10.1.0.0' }] }, 400],
      ['ports', { network_id: network.id, fixed_ips: [{ subnet_id: randomUUID() }] }, 400],
      ['ports', { network_id: network.id, fixed_ips: [{}] }, 400],
      ['ports', { network_id: network.id, mac_address: '01:00:00:00:00:01' }, 400],
      ['ports', { network_id: network.id, device_id: randomUUID() }, 400],
    ];
    for (const [collection, body, status] of cases) {
      const answer = await post(collection, body);
      expect([JSON.stringify(body), answer.code]).toEqual([JSON.stringify(body), status]);
      expect(answer.NeutronError.message).toBeTruthy();
    }
    expect([(await list('networks')).networks.length, (await list('subnets')).subnets.length, (await list('ports')).ports.length]).toEqual([
      1, 1, 0,
    ]);
    expect(await db.selectFrom('ip_allocation').select('address').execute()).toEqual([]);
  });

  it('of another project are not there, unless the network is shared', async () => {
    const [alice, bob] = [await api.user('member'), await api.user('member')];
    const own = await post('networks', { name: 'own' }, alice);
    const shared = await post('networks', { name: 'shared', shared: true });
    await post('subnets', { network_id: shared.id, cidr: '10.3.0.0/24' });
    expect((await list('networks', bob)).networks.map((one: { name: string }) => one.name)).toEqual(['shared']);
    expect((await api.call('GET', `${v2}/networks/${own.id}`, { as: bob })).statusCode).toBe(404);
    expect((await list('networks', bob)).networks[0]['provider:network_type']).toBeUndefined();
    expect((await post('networks', { shared: true }, bob)).code).toBe(403);
    expect((await post('networks', { project_id: alice.projectId }, bob)).code).toBe(403);
    expect((await post('subnets', { network_id: shared.id, cidr: '10.4.0.0/24' }, bob)).code).toBe(403);
    expect((await api.call('DELETE', `${v2}/networks/${shared.id}`, { as: bob })).statusCode).toBe(403);
    expect((await post('networks', { 'provider:network_type': 'vlan', 'provider:segmentation_id': 101 }, bob)).code).toBe(403);
    expect((await post('networks', { 'provider:network_type': 'flat' }, bob)).code).toBe(403);
    expect((await post('networks', { 'provider:segmentation_id': null }, bob)).code).toBe(403);
    const port = await post('ports', { network_id: shared.id }, bob);
    expect(port.code).toBe(201);
    expect((await post('ports', { network_id: shared.id, fixed_ips: [{ ip_address: '10.3.0.9' }] }, bob)).code).toBe(403);
    expect((await api.call('GET', `${v2}/ports/${port.id}`, { as: alice })).statusCode).toBe(404);
    expect((await post('networks', {}, await api.user('reader'))).code).toBe(403);
  });

  it('of overlapping subnets at once one is made', async () => {
    const network = await post('networks', {});
    // All of them stand before the same lock, and go on together.
    const holder = await database.connect('holder');
    await holder.query('begin');
    await holder.query('select id from network where id = $1 for update', [network.id]);
    const asked = Promise.all(Array.from({ length: 4 }, () => post('subnets', { network_id: network.id, cidr: '10.5.0.0/24' })));
    const waiting = sql<{
      n: number;
    }>`select count(distinct pid)::integer as n from pg_locks where not granted and pid in (select pid from pg_stat_activity where datname = current_database())`;
    await expect.poll(async () => (await waiting.execute(db)).rows[0]?.n, { timeout: 10_000 }).toBeGreaterThanOrEqual(4);
    await holder.query('commit');
    await holder.end();
    const made = await asked;
    expect(made.map((one) => one.code).toSorted()).toEqual([201, 400, 400, 400]);
  });

  it('page without repeating or skipping', async () => {
    for (const name of ['c', 'a', 'd', 'b']) await post('networks', { name });
    const seen: string[] = [];
    for (let url: string | undefined = `${v2}/networks?limit=3&sort_key=name&sort_dir=desc`; url !== undefined; ) {
      const page: { networks: { name: string }[]; networks_links?: { href: string }[] } = (await api.call('GET', url)).json();
      seen.push(...page.networks.map((network) => network.name));
      url = page.networks_links?.[0]?.href.replace('http://localhost:80', '');
    }
    expect(seen).toEqual(['d', 'c', 'b', 'a']);
  });

  it('a project has a default group that lets its own members in alone; other groups are made, named and deleted', async () => {
    const [alice, bob] = [await api.user('member'), await api.user('member')];
    const groups = async (as: TestUser, more = '') => (await list(`security-groups${more}`, as)).security_groups;
    const [own] = await groups(alice);
    expect((await groups(alice)).length).toBe(1);
    expect(
      own.security_group_rules
        .map(({ direction, ethertype, remote_group_id }: Record<string, string>) => [direction, ethertype, remote_group_id === own.id])
        .toSorted(),
    ).toEqual([
      ['egress', 'IPv4', false],
      ['egress', 'IPv6', false],
      ['ingress', 'IPv4', true],
      ['ingress', 'IPv6', true],
    ]);
    const made = async (body: object, as?: TestUser) => {
      const answer = await api.call('POST', `${v2}/security-groups`, {
        body: { security_group: body },
        ...(as === undefined ? {} : { as }),
      });
      return { ...answer.json().security_group, code: answer.statusCode };
    };
    const web = await made({ name: 'web', description: 'd' }, alice);
    expect(web).toMatchObject({ code: 201, name: 'web', description: 'd', stateful: true });
    expect(web.security_group_rules.length).toBe(2);
    expect((await made({ name: 'default' }, alice)).code).toBe(409);
    const rule = async (body: object, as = alice) => {
      const answer = await api.call('POST', `${v2}/security-group-rules`, {
        body: { security_group_rule: { direction: 'ingress', security_group_id: web.id, ...body } },
        as,
      });
      return { ...answer.json().security_group_rule, code: answer.statusCode };
    };
    const http = await rule({ protocol: 'tcp', port_range_min: 80, port_range_max: 80, remote_ip_prefix: '10.0.0.7' });
    expect(http).toMatchObject({ code: 201, ethertype: 'IPv4', protocol: 'tcp', port_range_min: 80, remote_ip_prefix: '10.0.0.7/32' });
    for (const [body, code] of [
      [{ protocol: 'tcp', port_range_min: 80, port_range_max: 80, remote_ip_prefix: '10.0.0.7/32' }, 409],
      [{ protocol: 'carrier-pigeon' }, 400],
      [{ protocol: 256 }, 400],
      [{ port_range_min: 80, port_range_max: 80 }, 400],
      [{ protocol: 'tcp', port_range_min: 81, port_range_max: 80 }, 400],
      [{ protocol: 'icmp', port_range_max: 3 }, 400],
      [{ protocol: 'icmp', port_range_min: 300 }, 400],
      [{ protocol: 'gre', port_range_min: 1, port_range_max: 2 }, 400],
      [{ remote_ip_prefix: 'fd00::/8' }, 400],
      [{ remote_ip_prefix: '10.0.0.1/8' }, 400],
      [{ remote_ip_prefix: '10.0.0.0/8', remote_group_id: web.id }, 400],
      [{ remote_group_id: randomUUID() }, 404],
      [{ security_group_id: randomUUID() }, 404],
      [{ direction: 'sideways' }, 400],
      [{ protocol: 'icmp', ethertype: 'IPv6', remote_group_id: own.id }, 201],
      [{ protocol: 'any' }, 201],
    ] as const)
      expect([JSON.stringify(body), (await rule(body)).code]).toEqual([JSON.stringify(body), code]);
    expect((await rule({}, bob)).code).toBe(404);
    const answers = await Promise.all([
      api.call('PUT', `${v2}/security-groups/${own.id}`, { body: { security_group: { name: 'mine' } }, as: alice }),
      api.call('DELETE', `${v2}/security-groups/${own.id}`, { as: alice }),
      api.call('GET', `${v2}/security-groups/${web.id}`, { as: bob }),
      api.call('PUT', `${v2}/security-groups/${web.id}`, { body: { security_group: { name: 'www' } }, as: alice }),
      api.call('DELETE', `${v2}/security-group-rules/${http.id}`, { as: alice }),
    ]);
    expect(answers.map(({ statusCode }) => statusCode)).toEqual([409, 409, 404, 200, 204]);
    expect((await groups(alice, '?name=www'))[0].security_group_rules.length).toBe(4);
  });

  it('a port has its groups, its addresses and what it may send as, and all of them can change', async () => {
    const network = await post('networks', {});
    const subnet = await post('subnets', { network_id: network.id, cidr: '10.6.0.0/24' });
    const [own] = (await list('security-groups?name=default')).security_groups;
    const { security_group: web } = (await api.call('POST', `${v2}/security-groups`, { body: { security_group: { name: 'web' } } })).json();
    const port = await post('ports', { network_id: network.id });
    expect(port).toMatchObject({ code: 201, security_groups: [own.id], port_security_enabled: true, allowed_address_pairs: [] });
    const put = async (body: object) => {
      const answer = await api.call('PUT', `${v2}/ports/${port.id}`, { body: { port: body } });
      return { ...answer.json().port, code: answer.statusCode };
    };
    expect(await put({ security_groups: [web.id], allowed_address_pairs: [{ ip_address: '10.6.0.200/31' }], name: 'p' })).toMatchObject({
      code: 200,
      name: 'p',
      security_groups: [web.id],
      allowed_address_pairs: [{ ip_address: '10.6.0.200/31', mac_address: port.mac_address }],
    });
    expect((await api.call('DELETE', `${v2}/security-groups/${web.id}`)).statusCode).toBe(409);
    expect(await put({ fixed_ips: [{ ip_address: '10.6.0.50' }, { subnet_id: subnet.id }] })).toMatchObject({
      code: 200,
      fixed_ips: [
        { subnet_id: subnet.id, ip_address: '10.6.0.50' },
        { subnet_id: subnet.id, ip_address: '10.6.0.2' },
      ],
    });
    const before = await list(`ports/${port.id}`);
    for (const [body, code] of [
      [{ fixed_ips: [{ ip_address: '10.7.0.1' }] }, 400],
      [{ fixed_ips: [{ ip_address: '10.6.0.60' }], security_groups: [randomUUID()] }, 404],
      [{ port_security_enabled: false }, 409],
      [{ allowed_address_pairs: [{ ip_address: 'x' }] }, 400],
    ] as const)
      expect([JSON.stringify(body), (await put(body)).code]).toEqual([JSON.stringify(body), code]);
    expect(await list(`ports/${port.id}`)).toEqual(before);
    expect(await put({ port_security_enabled: false, security_groups: [], allowed_address_pairs: [] })).toMatchObject({
      code: 200,
      port_security_enabled: false,
    });
    expect((await api.call('DELETE', `${v2}/security-groups/${web.id}`)).statusCode).toBe(204);
    const open = await post('networks', { port_security_enabled: false });
    expect(await post('ports', { network_id: open.id })).toMatchObject({ port_security_enabled: false, security_groups: [] });
  });

  it('a port that a server uses cannot be deleted', async () => {
    const network = await post('networks', {});
    const port = await post('ports', { network_id: network.id });
    const serverId = randomUUID();
    await db
      .insertInto('server')
      .values({
        id: serverId,
        name: 's',
        hostname: 's',
        project_id: 'p',
        user_id: 'u',
        vm_state: 'active',
        task_state: null,
        flavor_id: 'f',
        flavor: '{}',
        reservation_id: 'r',
      })
      .execute();
    await db.updateTable('port').set({ server_id: serverId }).where('id', '=', port.id).execute();
    expect((await list(`ports?device_id=${serverId}`)).ports[0]).toMatchObject({
      id: port.id,
      device_id: serverId,
      device_owner: 'compute:nova',
    });
    expect((await api.call('DELETE', `${v2}/ports/${port.id}`)).statusCode).toBe(409);
  });
});

it('VLAN networks: the type and the id go together, an id is had once on a wire, and admins see it', async () => {
  const vlan = (segment: number | undefined, more: object = {}) =>
    post('networks', {
      'provider:network_type': 'vlan',
      ...(segment === undefined ? {} : { 'provider:segmentation_id': segment }),
      ...more,
    });
  const blue = await vlan(101, { name: 'blue' });
  expect(blue).toMatchObject({
    code: 201,
    'provider:network_type': 'vlan',
    'provider:segmentation_id': 101,
    'provider:physical_network': null,
  });
  expect((await list('networks')).networks.map((one: Record<string, unknown>) => one['provider:segmentation_id'])).toEqual([101]);
  expect((await api.call('GET', `${v2}/networks/${blue.id}`)).json().network['provider:segmentation_id']).toBe(101);
  for (const bad of [0, 1, 4095, '101', undefined]) expect([bad, (await vlan(bad as number | undefined)).code]).toEqual([bad, 400]);
  expect((await post('networks', { 'provider:segmentation_id': 102 })).code).toBe(400);
  expect((await post('networks', { 'provider:network_type': 'vxlan', 'provider:segmentation_id': 102 })).code).toBe(400);
  const physical = (name: string) => ({ 'provider:physical_network': name });
  const taken = await vlan(101, physical('br5'));
  expect([taken.code, taken.NeutronError?.message]).toEqual([409, expect.stringMatching(/VLAN 101 on physical network br5 is in use/)]);
  // Two bridges are two wires; the same one twice, also at once, is not.
  expect((await vlan(200, physical('br5'))).code).toBe(201);
  expect((await vlan(200, physical('br6'))).code).toBe(201);
  expect((await vlan(200)).code).toBe(409);
  expect((await Promise.all([1, 2, 3].map(() => vlan(300)))).map(({ code }) => code).toSorted()).toEqual([201, 409, 409]);
  expect((await api.call('DELETE', `${v2}/networks/${blue.id}`)).statusCode).toBe(204);
  // One that was made before VLANs were known, and runs still.
  await db.insertInto('executor').values({ id: 'old:1', name: 'old', application_version: '1' }).execute();
  const early = await vlan(101);
  expect([early.code, early.NeutronError?.message]).toEqual([409, expect.stringMatching(/Controller old is of another version/)]);
  expect((await post('networks', { 'provider:physical_network': 'br7' })).code).toBe(201);
  await db.deleteFrom('executor').where('id', '=', 'old:1').execute();
  expect((await vlan(101)).code).toBe(201);
});

it('quotas: no limit of what is here, none of what is not; used is what the project has; of another project for admins alone', async () => {
  const own = await api.user('member');
  const network = await post('networks', { name: 'own' }, own);
  await post('subnets', { network_id: network.id, ip_version: 4, cidr: '10.9.0.0/24' }, own);
  await post('ports', { network_id: network.id }, own);
  const quota = { network: -1, subnet: -1, port: -1, router: 0, floatingip: 0 };
  for (const path of [`quotas/${own.projectId}`, `quotas/${own.projectId}/default`]) {
    expect((await list(path, own)).quota).toMatchObject(quota);
    expect((await list(path)).quota).toMatchObject(quota);
  }
  expect((await list(`quotas/${own.projectId}/details`, own)).quota).toMatchObject({
    network: { limit: -1, used: 1, reserved: 0 },
    subnet: { used: 1 },
    port: { used: 1 },
    security_group: { used: 1 },
    router: { limit: 0, used: 0, reserved: 0 },
  });
  expect(await list('quotas')).toEqual({ quotas: [] });
  const stranger = await api.user('member');
  for (const path of ['', '/default', '/details'])
    expect((await api.call('GET', `${v2}/quotas/${own.projectId}${path}`, { as: stranger })).statusCode).toBe(403);
  expect((await api.call('PUT', `${v2}/quotas/${own.projectId}`, { body: { quota: { network: 5 } } })).statusCode).toBe(405);
});
