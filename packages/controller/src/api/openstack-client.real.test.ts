import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { type OpenstackClient, startOpenstackClient } from '@godwit/contract/testing/openstack-client';
import { portOfOurOwn } from '@godwit/contract/testing/port-of-our-own';
import type { FastifyInstance } from 'fastify';
import pino from 'pino';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { buildApp } from '../app.ts';
import type { AppContext } from '../app-context.ts';
import { bootstrapIdentity } from '../auth/bootstrap.ts';
import { resolveConfig } from '../config/load-config.ts';
import { type EventFeed, startEventFeed } from '../events/event-feed.ts';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { fakeAgents } from '../workflows/testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../workflows/testing/fake-cloud.ts';

/** The distribution's `openstack` command against the whole application, over hosts in memory. */
let server: TestServer;
let database: Database;
let cloud: FakeCloud;
let app: FastifyInstance;
let events: EventFeed;
let directory: string;
let environment: Record<string, string>;
let client: OpenstackClient;

beforeAll(async () => {
  server = await startTestServer();
  directory = await mkdtemp(join(tmpdir(), 'gw-osc-'));
  database = await server.database();
  cloud = await fakeCloud(database);
  const engine = await cloud.controller('one');
  const bootstrapped = await bootstrapIdentity(database.db);
  if (!bootstrapped.created) throw new Error('the test database is not fresh');
  const log = pino({ level: process.env['GODWIT_TEST_LOG'] ?? 'silent' });
  events = await startEventFeed(database, log);
  // The catalog needs the port before the application is built.
  const port = await portOfOurOwn();
  const config = resolveConfig({
    stateDir: directory,
    publicUrl: `http://127.0.0.1:${port}`,
    listen: { address: '127.0.0.1', port },
    agentListen: { address: '127.0.0.1', port: 0, names: ['127.0.0.1'] },
  });
  const context: AppContext = {
    config,
    database,
    db: database.db,
    operations: engine.operations,
    fleet: engine.fleet,
    agents: fakeAgents(cloud.hosts),
    events,
    metrics: createMetrics({ process: false }),
    log,
  };
  app = await buildApp(context);
  await app.listen({ host: '127.0.0.1', port });
  client = startOpenstackClient(directory);
  environment = {
    OS_AUTH_URL: `http://127.0.0.1:${port}/identity/v3`,
    OS_USERNAME: 'admin',
    OS_PASSWORD: bootstrapped.password,
    OS_PROJECT_NAME: 'admin',
    OS_USER_DOMAIN_NAME: 'Default',
    OS_PROJECT_DOMAIN_NAME: 'Default',
    OS_IDENTITY_API_VERSION: '3',
    OS_REGION_NAME: 'RegionOne',
    OS_COMPUTE_API_VERSION: '2.87',
  };
});
afterAll(async () => {
  client?.stop();
  await app?.close();
  await events?.close();
  await cloud?.stop();
  await server?.stop();
  if (directory !== undefined) await rm(directory, { recursive: true, force: true });
});

const openstack = (line: string, env: Record<string, string> = {}): Promise<string> => client.run(line, { ...environment, ...env });
const json = async <T = Record<string, unknown>>(line: string, env: Record<string, string> = {}): Promise<T> =>
  JSON.parse(await openstack(`${line} -f json`, env)) as T;
type Rows = readonly Record<string, unknown>[];
const refusal = (line: string, env: Record<string, string> = {}): Promise<string> =>
  openstack(line, env).then(
    () => 'no refusal',
    (error: Error) => error.message,
  );

describe('identity', () => {
  it('token, catalog, domains', async () => {
    expect(await json('token issue')).toMatchObject({ id: expect.any(String), project_id: expect.any(String) });
    expect((await json<Rows>('catalog list')).map((entry) => entry['Type']).sort()).toEqual([
      'compute',
      'godwit',
      'identity',
      'image',
      'network',
      'placement',
    ]);
    expect((await json<Rows>('endpoint list --interface public --service compute')).map((row) => row['URL'])).toEqual([
      String(environment['OS_AUTH_URL']).replace('/identity/v3', '/compute/v2.1'),
    ]);
    expect((await json<Rows>('service list')).length).toBe(6);
    expect(await json<Rows>('domain list')).toMatchObject([{ ID: 'default', Name: 'Default' }]);
  });
  it('projects, users and roles, and a member who logs in with them', async () => {
    await openstack('project create --description d p1');
    await openstack('user create --project p1 --password secret --email u@example.org u1');
    await openstack('role add --project p1 --user u1 member');
    expect(await json<Rows>('role assignment list --names --user u1')).toMatchObject([
      { Role: 'member', User: 'u1@Default', Project: 'p1@Default' },
    ]);
    const member = { OS_USERNAME: 'u1', OS_PASSWORD: 'secret', OS_PROJECT_NAME: 'p1' };
    expect(await json('token issue', member)).toMatchObject({ id: expect.any(String) });
    expect(await json<Rows>('server list', member)).toEqual([]);
    expect(await refusal('project list', member)).not.toContain('Traceback');
    await openstack('project set --disable p1');
    expect(await refusal('token issue', member)).toContain('HTTP 401');
    await openstack('role remove --project p1 --user u1 member');
    await openstack('user set --password other --name u2 u1');
    await openstack('user delete u2');
    await openstack('project delete p1');
    expect((await json<Rows>('project list')).map((row) => row['Name'])).toEqual(['admin']);
    await openstack('role create operator');
    expect((await json<Rows>('role list')).map((row) => row['Name'])).toEqual(['admin', 'member', 'operator', 'reader']);
    await openstack('role delete operator');
  });
});

describe('flavors', () => {
  it('are made, shown with their properties, and deleted', async () => {
    await openstack('flavor create --ram 256 --vcpus 1 --disk 0 --property godwit:storage=shared tiny');
    expect(await json('flavor show tiny')).toMatchObject({ ram: 256, properties: { 'godwit:storage': 'shared' } });
    expect((await json<Rows>('flavor list --all')).map((row) => row['Name']).sort()).toEqual(['small', 'tiny']);
    await openstack('flavor set --property a=b tiny');
    await openstack('flavor unset --property a tiny');
    await openstack('flavor delete tiny');
  });
});

describe('servers', () => {
  it('are made, shown, listed, powered and deleted', async () => {
    const made = await json(`server create --image image --flavor small --network none --wait --property a=b web`);
    expect(made).toMatchObject({ status: 'ACTIVE', name: 'web' });
    const id = String(made['id']);
    expect((await json<Rows>('server list --long'))[0]).toMatchObject({ ID: id, Name: 'web', Status: 'ACTIVE' });
    expect(await json(`server show ${id}`, { OS_COMPUTE_API_VERSION: '2.1' })).toMatchObject({
      name: 'web',
      flavor: 'small (f1)',
      'OS-EXT-SRV-ATTR:host': expect.stringMatching(/^node/),
    });
    await openstack(`server set --name web2 --property c=d ${id}`);
    expect(await json('server show web2')).toMatchObject({ properties: { a: 'b', c: 'd' } });
    for (const [command, status] of [
      ['pause', 'PAUSED'],
      ['unpause', 'ACTIVE'],
      ['stop', 'SHUTOFF'],
      ['start', 'ACTIVE'],
      ['reboot --hard', 'ACTIVE'],
    ] as const) {
      await openstack(`server ${command} ${id}`);
      await until(async () => (await cloudState(id)).task_state === null);
      expect([command, (await json(`server show ${id}`))['status']]).toEqual([command, status]);
    }
    await openstack(`server lock ${id}`);
    await openstack(`server unlock ${id}`);
    const history = await json<Rows>(`server event list ${id}`);
    expect(history.map((row) => row['Action'])).toEqual(expect.arrayContaining(['create', 'pause', 'unpause', 'stop', 'start', 'reboot']));
    expect(await json(`server event show ${id} ${String(history.at(-1)?.['Request ID'])}`)).toMatchObject({ action: 'create' });
    await openstack(`server delete --wait ${id}`);
    expect(await json<Rows>('server list')).toEqual([]);
  });
  it('get and lose interfaces while they run', async () => {
    await openstack('network create --share plugged');
    await openstack('subnet create --network plugged --subnet-range 10.9.0.0/24 plugged');
    const port = String((await json('port create --network plugged own'))['id']);
    const id = String((await json('server create --image image --flavor small --network none --wait plug'))['id']);
    const addresses = async () => (await json(`server show ${id}`))['addresses'];
    await openstack(`server add port ${id} own`);
    await openstack(`server add network ${id} plugged`);
    await openstack(`server add fixed ip --fixed-ip-address 10.9.0.77 ${id} plugged`);
    expect(await addresses()).toEqual({
      plugged: [expect.stringMatching(/^10\.9\.0\./), expect.stringMatching(/^10\.9\.0\./), '10.9.0.77'],
    });
    const at = cloud.hosts.find((host) => host.guests.has(id));
    expect(at?.guests.get(id)?.nics).toMatchObject([{ portId: port, slot: 0 }, { slot: 1 }, { slot: 2 }]);
    await openstack(`server remove port ${id} own`);
    await settled(id);
    expect(at?.guests.get(id)?.nics).toHaveLength(2);
    expect(await json('port show own')).toMatchObject({ id: port, status: 'DOWN', device_id: '' });
    // Both that are left, one after the other, without a look between.
    await openstack(`server remove network ${id} plugged`);
    await settled(id);
    expect(at?.guests.get(id)?.nics).toEqual([]);
    await gone(id);
    await openstack('port delete own');
    await openstack('network delete plugged');
  });
  it('are live-migrated, with a host and without, and the record tells how it went', async () => {
    const id = String((await json('server create --image image --flavor small --network none --wait move'))['id']);
    const hostOf = async (): Promise<unknown> => (await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host'];
    const from = await hostOf();
    const to = from === 'node2' ? 'node3' : 'node2';
    await openstack(`server migrate --live-migration --host ${to} --wait ${id}`);
    expect(await hostOf()).toBe(to);
    await openstack(`server migrate --live-migration --wait ${id}`, { OS_COMPUTE_API_VERSION: '2.1' });
    const records = await json<Rows>(`server migration list --server ${id}`);
    expect(records.map((row) => row['Status'])).toEqual(['completed', 'completed']);
    expect(await refusal(`server migrate --live-migration --host mars ${id}`)).toContain(
      'Compute host mars could not be found. (HTTP 400)',
    );
    await openstack(`server delete --wait ${id}`);
  });
  it('are migrated cold, resized, confirmed and reverted', async () => {
    await openstack('flavor create --ram 768 --vcpus 2 --disk 1 large');
    const id = await made('cold');
    const shown = async () => {
      const row = await json(`server show ${id}`);
      return {
        status: row['status'],
        host: row['OS-EXT-SRV-ATTR:host'],
        flavor: (row['flavor'] as Record<string, unknown>)['original_name'],
      };
    };
    const { host: from } = await shown();
    const to = from === 'node2' ? 'node3' : 'node2';
    expect(await openstack(`server migrate --host ${to} ${id}`)).toBe('');
    await settled(id);
    expect(await shown()).toMatchObject({ status: 'VERIFY_RESIZE', host: to });
    expect(await openstack(`server migration revert ${id}`)).toBe('');
    await settled(id);
    expect(await shown()).toMatchObject({ status: 'ACTIVE', host: from });
    await openstack(`server migrate ${id}`);
    await settled(id);
    const { host: second } = await shown();
    expect(second).not.toBe(from);
    expect(await openstack(`server migration confirm ${id}`)).toBe('');
    await until(async () => (await cloudState(id)).status === 'ACTIVE');
    await openstack(`server resize --flavor large ${id}`);
    await settled(id);
    expect(await openstack(`server resize confirm ${id}`)).toBe('');
    await until(async () => (await cloudState(id)).status === 'ACTIVE');
    expect((await shown()).flavor).toBe('large');
    await openstack(`server resize --flavor small ${id}`);
    await settled(id);
    expect(await openstack(`server resize revert ${id}`)).toBe('');
    await settled(id);
    expect((await shown()).flavor).toBe('large');
    expect(
      (await json<Rows>(`server migration list --server ${id}`)).map((row) => [row['Type'], row['Status'], row['Source Compute']]),
    ).toEqual([
      ['resize', 'reverted', expect.any(String)],
      ['resize', 'confirmed', second],
      ['migration', 'confirmed', from],
      ['migration', 'reverted', from],
    ]);
    expect(await refusal(`server migration confirm ${id}`)).toContain('HTTP 409');
    await gone(id);
    await openstack('flavor delete large');
  });
  it('that are on their way are shown, aborted and forced to complete', async () => {
    const id = await made('way');
    const from = String((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']);
    const source = cloud.hosts.find(({ name }) => name === from);
    if (source === undefined) throw new Error(`no host ${from}`);
    // It copies until it is told otherwise.
    source.copyRounds = null;
    const under = async (): Promise<{ readonly id: string; readonly uuid: string }> => {
      await openstack(`server migrate --live-migration ${id}`);
      await until(async () => (await json<Rows>(`server migration list --server ${id}`))[0]?.['Status'] === 'running');
      const [row] = await json<Rows>(`server migration list --server ${id}`);
      return { id: String(row?.['Id']), uuid: String(row?.['UUID']) };
    };
    const first = await under();
    for (const one of [first.id, first.uuid])
      expect(await json(`server migration show ${id} ${one}`)).toMatchObject({
        ID: Number(first.id),
        'Server UUID': id,
        Status: 'running',
        'Source Compute': from,
      });
    expect(await openstack(`server migration abort ${id} ${first.id}`)).toBe('');
    await settled(id);
    expect((await json<Rows>(`server migration list --server ${id}`))[0]).toMatchObject({ Status: 'cancelled' });
    expect((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']).toBe(from);
    expect(await refusal(`server migration abort ${id} ${first.id}`)).toMatch(/HTTP 40[09]/);
    const second = await under();
    expect(await openstack(`server migration force complete ${id} ${second.id}`)).toBe('');
    source.copyRounds = 1;
    await settled(id);
    expect((await json<Rows>(`server migration list --server ${id}`))[0]).toMatchObject({ Status: 'completed' });
    expect((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']).not.toBe(from);
    expect(await openstack(`server set --state active ${id}`)).toBe('');
    await gone(id);
  });
  it('the old words for confirm and revert, every project’s list, the history of a deleted one, and the quotas', async () => {
    const id = await made('old-words');
    const from = String((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']);
    await openstack(`server migrate ${id}`);
    await settled(id);
    await openstack(`server migrate revert ${id}`);
    await settled(id);
    expect(await json(`server show ${id}`)).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': from });
    await openstack(`server migrate ${id}`);
    await settled(id);
    await openstack(`server migrate confirm ${id}`);
    await until(async () => (await cloudState(id)).status === 'ACTIVE');
    const [row] = await json<Rows>(`server list --all-projects --long --name old-words --host ${await hostOf(id)}`);
    expect(row).toMatchObject({ ID: id, Status: 'ACTIVE', 'Host Status': 'UP' });
    expect(row?.['Host']).not.toBe(from);
    expect(await json<Rows>(`server list --all-projects --name old-words --host ${from}`)).toEqual([]);
    for (const [more, statuses] of [
      ['--type cold-migration', ['confirmed', 'reverted']],
      ['--status reverted', ['reverted']],
      ['--limit 1', ['confirmed']],
      ['--changes-before 2020-01-01T00:00:00Z', []],
    ] as const)
      expect([more, (await json<Rows>(`server migration list --server ${id} ${more}`)).map((one) => one['Status'])]).toEqual([
        more,
        statuses,
      ]);
    await gone(id);
    expect((await json<Rows>(`server event list ${id}`)).map((one) => one['Action'])).toContain('confirmResize');
    expect(await json('quota show')).toMatchObject({ instances: -1, cores: -1, networks: -1, ports: -1, routers: 0 });
    expect((await json<Rows>('quota list --detail --network --project admin')).find((one) => one['Resource'] === 'networks')).toMatchObject(
      {
        Limit: -1,
      },
    );
  });
  it('groups and key pairs', async () => {
    await openstack('server group create --policy anti-affinity --rule max_server_per_host=2 g');
    expect(await json<Rows>('server group list --all-projects')).toMatchObject([{ Name: 'g', Policy: 'anti-affinity' }]);
    expect(await json('server group show g')).toMatchObject({ policy: 'anti-affinity', rules: { max_server_per_host: 2 }, members: [] });
    expect(await refusal('server group create --policy affinity --rule max_server_per_host=2 h')).toContain('Only anti-affinity');
    await openstack('server group delete g');
    expect(await json<Rows>('server group list')).toEqual([]);
    const key = join(directory, 'key.pub');
    await writeFile(key, 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIOMqqnkVzrm0SdG6UOoqKLsabgH5C9okWi0dh2l9GKJl test\n');
    await openstack(`keypair create --public-key ${key} k`);
    expect(await json<Rows>('keypair list')).toMatchObject([{ Name: 'k' }]);
    await openstack('keypair delete k');
    expect((await json<Rows>('limits show --absolute')).length).toBeGreaterThan(5);
  });
});

describe('hosts', () => {
  it('hypervisors and services in every shape that the client asks for', { timeout: 240_000 }, async () => {
    const id = await made('guest');
    const on = String((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']);
    const listed = await json<Rows>('hypervisor list --long');
    expect(listed.map((row) => [row['Hypervisor Hostname'], row['State'], row['Hypervisor Type']])).toEqual(
      ['node1', 'node2', 'node3'].map((name) => [name, 'up', 'QEMU']),
    );
    expect(listed.find((row) => row['Hypervisor Hostname'] === on)).toMatchObject({ 'vCPUs Used': 1, 'Memory MB Used': 512 });
    expect((await json<Rows>(`hypervisor list --matching ${on}`)).map((row) => row['Hypervisor Hostname'])).toEqual([on]);
    expect(await json(`hypervisor show ${on}`)).toMatchObject({ hypervisor_hostname: on, running_vms: 1, memory_mb_used: 512 });
    expect(await json(`hypervisor show ${on}`, { OS_COMPUTE_API_VERSION: '2.88' })).toMatchObject({ uptime: expect.any(String) });
    expect(await refusal('hypervisor show mars')).toMatch(/mars/);
    expect(await json('hypervisor stats show')).toMatchObject({ count: 3, running_vms: 1, vcpus_used: 1 });
    expect((await json<Rows>('host list')).filter((row) => row['Service'] === 'compute').map((row) => row['Host Name'])).toEqual([
      'node1',
      'node2',
      'node3',
    ]);
    expect((await json<Rows>(`host show ${on}`)).map((row) => row['Project'])).toEqual(expect.arrayContaining(['(total)', '(used_now)']));
    const services = async (env: Record<string, string> = {}) =>
      (await json<Rows>(`compute service list --service nova-compute --host ${on}`, env))[0] ?? {};
    expect(await services()).toMatchObject({ Binary: 'nova-compute', Host: on, Status: 'enabled', State: 'up' });
    // By name and binary below 2.53, by id from it on.
    const old = { OS_COMPUTE_API_VERSION: '2.1' };
    await openstack(`compute service set --disable --disable-reason kernel ${on} nova-compute`, old);
    expect((await json<Rows>(`compute service list --long --host ${on}`))[0]).toMatchObject({
      Status: 'disabled',
      'Disabled Reason': 'kernel',
    });
    await openstack(`compute service set --enable ${on} nova-compute`);
    expect(await services(old)).toMatchObject({ Status: 'enabled' });
    await openstack(`compute service set --down ${on} nova-compute`);
    expect(await services()).toMatchObject({ State: 'down' });
    await openstack(`compute service set --up ${on} nova-compute`);
    expect(await services()).toMatchObject({ State: 'up' });
    expect(await refusal(`compute service delete ${String((await services())['ID'])}`)).toMatch(/1 of 1 compute services failed/);
    expect(await services()).toMatchObject({ Host: on });
    // Silent and forced down, its servers may be evacuated. This version of the client ends with a fault of its own when that was accepted, whichever way it is answered: what counts is what became of the server.
    const dead = cloud.hosts.find(({ name }) => name === on);
    const answers = async (reachable: boolean) => {
      if (dead !== undefined) dead.down = !reachable;
      const now = { reachable, fenced_at: null, fenced_boot_id: null, last_seen_at: new Date(reachable ? Date.now() : 0) };
      await database.db.updateTable('host').set(now).where('name', '=', on).execute();
    };
    expect(await refusal(`server evacuate ${id}`)).toContain(`Compute service of ${on} is still in use. (HTTP 400)`);
    await openstack(`compute service set --down ${on} nova-compute`);
    await answers(false);
    expect(await refusal(`server evacuate ${id}`)).toMatch(/to_dict/);
    await settled(id);
    expect(await json(`server show ${id}`)).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': expect.not.stringMatching(on) });
    expect((await json<Rows>(`server migration list --server ${id}`)).map((row) => [row['Type'], row['Source Compute']])).toEqual([
      ['evacuation', on],
    ]);
    await answers(true);
    await gone(id);
    await openstack(`compute service set --up ${on} nova-compute`);
  });
  it('aggregates and zones, and a service that nothing needs is deleted', { timeout: 240_000 }, async () => {
    expect(await json('aggregate create --zone west --property rack=1 racks')).toMatchObject({ name: 'racks', availability_zone: 'west' });
    await openstack('aggregate add host racks node3');
    expect(await json('aggregate show racks')).toMatchObject({ hosts: ['node3'], properties: { rack: '1' } });
    await openstack('aggregate set --property rack=2 --name rows racks');
    await openstack('aggregate unset --property rack rows');
    expect((await json<Rows>('aggregate list --long')).find((row) => row['Name'] === 'rows')).toMatchObject({
      'Availability Zone': 'west',
      Properties: {},
    });
    const zones = await json<Rows>('availability zone list --compute --long');
    expect(zones.find((row) => row['Host Name'] === 'node3')).toMatchObject({ 'Zone Name': 'west', 'Zone Status': 'available' });
    const id = await made('west', '--availability-zone west');
    expect((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']).toBe('node3');
    await gone(id);
    expect(await refusal('aggregate delete rows')).toMatch(/1 of 1 aggregates failed/);
    await openstack('aggregate remove host rows node3');
    await openstack('aggregate delete rows');
    const service = (await json<Rows>('compute service list --service nova-compute --host node3'))[0];
    await openstack(`compute service delete ${String(service?.['ID'])}`);
    expect((await json<Rows>('hypervisor list')).map((row) => row['Hypervisor Hostname'])).toEqual(['node1', 'node2']);
  });
});

async function settled(id: string): Promise<void> {
  await until(async () => (await cloudState(id)).task_state === null);
}

/** A server of the flavor `small`, ACTIVE; `more`: options of the command. */
async function made(name: string, more = ''): Promise<string> {
  const id = String((await json(`server create --image image --flavor small --network none ${more} ${name}`))['id']);
  await until(async () => (await cloudState(id)).status === 'ACTIVE');
  return id;
}

const hostOf = async (id: string): Promise<string> => String((await json(`server show ${id}`))['OS-EXT-SRV-ATTR:host']);

async function gone(id: string): Promise<void> {
  await openstack(`server delete ${id}`);
  await until(async () => (await cloudState(id)).status === undefined);
}

async function cloudState(id: string): Promise<{ task_state: unknown; status: unknown }> {
  const answer = await app.inject({ method: 'GET', url: `/compute/v2.1/servers/${id}`, headers: { 'x-auth-token': await adminToken() } });
  const shown = answer.json<{ server?: Record<string, unknown> }>().server;
  return { task_state: shown?.['OS-EXT-STS:task_state'], status: shown?.['status'] };
}

let token: string | null = null;
async function adminToken(): Promise<string> {
  if (token !== null) return token;
  const answer = await app.inject({
    method: 'POST',
    url: '/identity/v3/auth/tokens',
    payload: {
      auth: {
        identity: {
          methods: ['password'],
          password: { user: { name: 'admin', domain: { id: 'default' }, password: environment['OS_PASSWORD'] } },
        },
        scope: { project: { name: 'admin', domain: { id: 'default' } } },
      },
    },
  });
  token = String(answer.headers['x-subject-token']);
  return token;
}
