import { as, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
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
});
afterAll(async () => {
  await server.stop();
});

const base = '/compute/v2.1';
const setQuota = async (projectId: string, quota: object, more = '') => {
  const answer = await cloud.call('PUT', `${base}/os-quota-sets/${projectId}${more}`, { body: { quota_set: quota } });
  expect([answer.statusCode, answer.body]).toEqual([200, expect.anything()]);
};
const create = (as: TestUser, more: object = {}) =>
  cloud.call('POST', `${base}/servers`, {
    as,
    body: { server: { name: 'vm', imageRef: cloud.imageId, flavorRef: cloud.flavorId, networks: [{ uuid: cloud.networkId }], ...more } },
  });
const serversOf = async (projectId: string): Promise<number> =>
  (await cloud.db.selectFrom('server').select('id').where('project_id', '=', projectId).where('deleted_at', 'is', null).execute()).length;
const messageOf = (answer: { readonly json: () => unknown }): string =>
  (answer.json() as { forbidden: { message: string } }).forbidden.message;

describe('quotas', () => {
  it('two creates at once do not both take the last place; the refusal says what is used of what, and makes nothing', async () => {
    const user = await cloud.user('member');
    await setQuota(user.projectId, { instances: 3, cores: 3 });
    const answers = await Promise.all(Array.from({ length: 8 }, () => create(user)));
    expect(answers.filter((answer) => answer.statusCode === 202)).toHaveLength(3);
    const refused = answers.filter((answer) => answer.statusCode === 403);
    expect(refused).toHaveLength(5);
    expect(messageOf(refused[0] as never)).toBe(
      'Quota exceeded for instances, cores: Requested 1, 1, but already used 3, 3 of 3, 3 instances, cores',
    );
    expect(await serversOf(user.projectId)).toBe(3);
    const limits = await cloud.call('GET', `${base}/limits`, { as: user });
    expect(limits.json()).toMatchObject({ limits: { absolute: { maxTotalInstances: 3, totalInstancesUsed: 3, totalRAMUsed: 1536 } } });
  });

  it('of min_count to max_count as many are made as fit, and none when min_count does not', async () => {
    const user = await cloud.user('member');
    await setQuota(user.projectId, { ram: 5 * 512 });
    expect((await create(user, { min_count: 2, max_count: 9 })).statusCode).toBe(202);
    expect(await serversOf(user.projectId)).toBe(5);
    expect((await create(user)).statusCode).toBe(403);
    await setQuota(user.projectId, { ram: 7 * 512 });
    expect((await create(user, { min_count: 3, max_count: 9 })).statusCode).toBe(403);
    expect(await serversOf(user.projectId)).toBe(5);
  });

  it('a resize may not grow beyond them, key pairs, groups, members and metadata neither', async () => {
    const user = await cloud.user('member');
    const group = (name: string) =>
      cloud.call('POST', `${base}/os-server-groups`, { as: user, body: { server_group: { name, policies: ['anti-affinity'] } } });
    const key = (name: string) => cloud.call('POST', `${base}/os-keypairs`, { as: user, body: { keypair: { name } } });
    await cloud.db
      .insertInto('flavor')
      .values({
        id: 'f-large',
        name: 'large',
        vcpus: 4,
        ram_mib: 4096,
        disk_gib: 2,
        extra_specs: JSON.stringify({ 'godwit:storage': 'shared' }),
      })
      .execute();
    const id = await cloud.server(user);
    await setQuota(user.projectId, { cores: 4, ram: 4095, key_pairs: 1, server_groups: 1, server_group_members: 1, metadata_items: 2 });
    const resize = await cloud.call('POST', `${base}/servers/${id}/action`, { as: user, body: { resize: { flavorRef: 'f-large' } } });
    expect([resize.statusCode, messageOf(resize)]).toEqual([
      403,
      'Quota exceeded for ram: Requested 3584, but already used 512 of 4095 ram',
    ]);
    expect((await key('a')).statusCode).toBe(200);
    expect([(await key('b')).statusCode, messageOf(await key('b'))]).toEqual([403, 'Quota exceeded, too many key pairs.']);
    const made = await group('g');
    expect(made.statusCode).toBe(200);
    expect(messageOf(await group('h'))).toBe('Quota exceeded, too many server groups.');
    const groupId = made.json<{ server_group: { id: string } }>().server_group.id;
    const inGroup = () =>
      cloud.call('POST', `${base}/servers`, {
        as: user,
        body: {
          server: { name: 'vm', imageRef: cloud.imageId, flavorRef: cloud.flavorId, networks: [{ uuid: cloud.networkId }] },
          'os:scheduler_hints': { group: groupId },
        },
      });
    expect((await inGroup()).statusCode).toBe(202);
    expect(messageOf(await inGroup())).toBe('Quota exceeded, too many servers in group');
    const metadata = (items: object) => cloud.call('POST', `${base}/servers/${id}/metadata`, { as: user, body: { metadata: items } });
    expect((await metadata({ a: '1', b: '2' })).statusCode).toBe(200);
    expect(messageOf(await metadata({ c: '3' }))).toBe('Maximum number of metadata items exceeds 2');
  });

  it('a class default holds for all, a project overrides it, one user of it again; delete goes back', async () => {
    const user = await cloud.user('member');
    const shown = async (more = ''): Promise<number> =>
      (await cloud.call('GET', `${base}/os-quota-sets/${user.projectId}${more}`)).json<{ quota_set: { instances: number } }>().quota_set
        .instances;
    const setClass = async (instances: number) => {
      const answer = await cloud.call('PUT', `${base}/os-quota-class-sets/default`, { body: { quota_class_set: { instances } } });
      expect(answer.statusCode).toBe(200);
    };
    await setClass(10);
    expect([await shown(), await shown('/defaults')]).toEqual([10, 10]);
    await setQuota(user.projectId, { instances: 5 });
    await setQuota(user.projectId, { instances: 2 }, `?user_id=${user.userId}`);
    expect([await shown(), await shown(`?user_id=${user.userId}`), await shown('/defaults')]).toEqual([5, 2, 10]);
    expect((await create(user, { min_count: 3 })).statusCode).toBe(403);
    expect((await create(user, { min_count: 2 })).statusCode).toBe(202);
    expect((await cloud.call('DELETE', `${base}/os-quota-sets/${user.projectId}`)).statusCode).toBe(202);
    expect(await shown(`?user_id=${user.userId}`)).toBe(10);
    await setClass(-1);
  });

  it('below what is used only by force; and only by an admin, for a project that there is', async () => {
    const user = await cloud.user('member');
    await cloud.server(user);
    const put = (body: object, as = cloud.admin, project = user.projectId, microversion = '2.1') =>
      cloud.call('PUT', `${base}/os-quota-sets/${project}`, { as, body: { quota_set: body }, microversion });
    expect((await put({ instances: 0 })).json()).toMatchObject({
      badRequest: { message: 'Quota limit 0 for instances must be greater than or equal to already used and reserved 1.' },
    });
    expect((await put({ instances: 0, force: true })).statusCode).toBe(200);
    expect((await put({ instances: -2 })).statusCode).toBe(400);
    expect((await put({ instances: 9 }, member)).statusCode).toBe(403);
    expect((await put({ instances: 9 }, cloud.admin, 'nobody')).statusCode).toBe(400);
    expect((await put({ fixed_ips: 9 }, cloud.admin, user.projectId, '2.36')).statusCode).toBe(400);
    expect((await cloud.call('GET', `${base}/os-quota-sets/${user.projectId}`, { as: member })).statusCode).toBe(403);
  });
});

describe('usage', () => {
  it('hours count inside the period alone, of deleted servers too, in pages from 2.40', async () => {
    const user = await cloud.user('member');
    const at = (hour: number): Date => new Date(Date.UTC(2020, 0, 1, hour));
    const first = await cloud.server(user, { launched_at: at(0), terminated_at: at(6), deleted_at: at(6), vm_state: 'deleted' });
    const second = await cloud.server(user, { launched_at: at(2) });
    const query = 'start=2020-01-01T04:00:00&end=2020-01-01T08:00:00&detailed=1';
    const show = (more: string, microversion: string) =>
      cloud.call('GET', `${base}/os-simple-tenant-usage/${user.projectId}?${query}${more}`, { as: user, microversion });
    expect((await show('', '2.1')).json()).toMatchObject({
      tenant_usage: {
        total_hours: 6,
        total_memory_mb_usage: 6 * 512,
        server_usages: [
          { instance_id: first, hours: 2, state: 'terminated', ended_at: '2020-01-01T06:00:00' },
          { instance_id: second, hours: 4, state: 'active', ended_at: null },
        ],
      },
    });
    const paged = (await show('&limit=1', '2.40')).json<{ tenant_usage_links: { href: string }[] }>();
    const next = new URL(paged.tenant_usage_links[0]?.href ?? '');
    const rest = await cloud.call('GET', `${next.pathname}${next.search}`, { as: user, microversion: '2.40' });
    expect(rest.json()).toMatchObject({ tenant_usage: { total_hours: 4, server_usages: [{ instance_id: second }] } });
    expect((await cloud.call('GET', `${base}/os-simple-tenant-usage?${query}`)).json()).toMatchObject({
      tenant_usages: [{ tenant_id: user.projectId, total_hours: 6 }],
    });
    expect((await cloud.call('GET', `${base}/os-simple-tenant-usage?start=2021-01-01&end=2020-01-01`)).statusCode).toBe(400);
  });
  it('a scaled server counts with what it has, and of two that would pass the quota together one is scaled', async () => {
    const user = await cloud.user('member');
    const caller = { ...user, roles: ['member'], isAdmin: false, requestId: 'req-scale' };
    const vcpusUsed = async (): Promise<number> =>
      (await cloud.call('GET', `${base}/os-hypervisors/detail`))
        .json<{ hypervisors: { vcpus_used: number }[] }>()
        .hypervisors.reduce((sum, one) => sum + one.vcpus_used, 0);
    const servers = await Promise.all(
      [0, 1].map(async () => {
        const id = await cloud.server(user);
        const scalable = sql<string>`jsonb_set(flavor, '{extra_specs}', '{"godwit:max_vcpus": "6"}')`;
        await cloud.db.updateTable('server').set({ flavor: scalable }).where('id', '=', id).execute();
        const claim = { consumer_id: id, consumer_type: 'server', server_id: id, host_id: cloud.hosts.node1 } as const;
        await cloud.db
          .insertInto('allocation')
          .values({ ...claim, vcpus: 1, ram_mib: 512, disk_gib: 1 })
          .execute();
        return id;
      }),
    );
    await setQuota(user.projectId, { cores: 3 });
    const before = await vcpusUsed();
    const answers = await Promise.allSettled(servers.map((id) => cloud.context.operations.scale(caller, as<ServerId>(id), { vcpus: 2 })));
    const took = answers.findIndex(({ status }) => status === 'fulfilled');
    expect(answers[1 - took]).toMatchObject({ status: 'rejected', reason: { code: 'OverQuota' } });
    expect(await vcpusUsed()).toBe(before + 1);
    const scaled = servers[took] ?? '';
    expect((await cloud.call('GET', `${base}/servers/${scaled}`, { as: user, microversion: '2.47' })).json()).toMatchObject({
      server: { flavor: { original_name: 'small', vcpus: 2, ram: 512 }, 'OS-EXT-STS:task_state': 'scaling' },
    });
    expect((await cloud.call('GET', `${base}/limits`, { as: user })).json()).toMatchObject({ limits: { absolute: { totalCoresUsed: 3 } } });
    const usage = await cloud.call('GET', `${base}/os-simple-tenant-usage/${user.projectId}?detailed=1`, { as: user });
    const { server_usages } = usage.json<{ tenant_usage: { server_usages: { instance_id: string; vcpus: number }[] } }>().tenant_usage;
    expect(Object.fromEntries(server_usages.map(({ instance_id, vcpus }) => [instance_id, vcpus]))).toEqual({
      [scaled]: 2,
      [servers[1 - took] ?? '']: 1,
    });
  });
  it('nobody audits usage by the month, and the log says so', async () => {
    const answer = await cloud.call('GET', `${base}/os-instance_usage_audit_log/2020-03-15%2012:00:00`);
    expect(answer.json()).toMatchObject({
      instance_usage_audit_log: { period_beginning: '2020-02-01 00:00:00', period_ending: '2020-03-01 00:00:00', num_hosts_not_run: 3 },
    });
    expect((await cloud.call('GET', `${base}/os-instance_usage_audit_log/yesterday`)).statusCode).toBe(400);
  });
});
