import { randomUUID } from 'node:crypto';
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
type Called = Awaited<ReturnType<TestCloud['call']>>;
const get = (path: string, microversion = '2.1', as = member): Promise<Called> => cloud.call('GET', base + path, { as, microversion });
const statusOf = async (call: Promise<Called>): Promise<number> => (await call).statusCode;

describe('images, below 2.36', () => {
  it('shows, filters and pages them; a stranger sees none of a project, and nobody at 2.36', async () => {
    const id = randomUUID();
    const stranger = await cloud.user('member');
    await cloud.db
      .insertInto('image')
      .values({
        id,
        name: 'mine',
        owner: member.projectId,
        status: 'saving',
        visibility: 'private',
        disk_format: 'raw',
        container_format: 'bare',
        size_bytes: null,
        virtual_size_bytes: null,
        min_ram_mib: 64,
        properties: JSON.stringify({ image_type: 'snapshot' }),
      })
      .execute();
    const found = async (query: string): Promise<readonly string[]> =>
      (await get(`/images?${query}`)).json<{ images: { id: string }[] }>().images.map((image) => image.id);
    expect(await found('')).toEqual([id, cloud.imageId]);
    for (const query of ['name=mine', 'status=SAVING', 'type=snapshot', 'minRam=64', 'property-image_type=snapshot', 'limit=1'])
      expect([query, await found(query)]).toEqual([query, [id]]);
    for (const query of ['status=ACTIVE', `marker=${id}`, 'minRam=0&name=image'])
      expect([query, await found(query)]).toEqual([query, [cloud.imageId]]);
    expect((await get(`/images/${id}`)).json()).toMatchObject({
      image: { id, status: 'SAVING', progress: 50, minRam: 64, metadata: { image_type: 'snapshot' }, 'OS-EXT-IMG-SIZE:size': 0 },
    });
    expect(await statusOf(get(`/images/${id}`, '2.1', stranger))).toBe(404);
    expect(await statusOf(get('/images', '2.36'))).toBe(404);
    expect([await statusOf(get(`/images/${id}/metadata`, '2.38')), await statusOf(get(`/images/${id}/metadata`, '2.39'))]).toEqual([
      200, 404,
    ]);
  });
  it('changes metadata and deletes, of who may', async () => {
    const id = randomUUID();
    await cloud.db
      .insertInto('image')
      .values({
        id,
        name: 'own',
        owner: member.projectId,
        status: 'active',
        disk_format: 'raw',
        container_format: 'bare',
        size_bytes: 1,
        virtual_size_bytes: 1,
      })
      .execute();
    const call = (method: 'POST' | 'PUT' | 'DELETE', path: string, body?: object, as = member) =>
      cloud.call(method, base + path, { as, ...(body === undefined ? {} : { body }) });
    const metadata = async () => (await get(`/images/${id}/metadata`)).json<{ metadata: object }>().metadata;
    expect(await statusOf(call('POST', `/images/${id}/metadata`, { metadata: { a: '1', b: '2' } }))).toBe(200);
    expect(await statusOf(call('PUT', `/images/${id}/metadata/a`, { meta: { a: '3' } }))).toBe(200);
    expect(await statusOf(call('PUT', `/images/${id}/metadata/a`, { meta: { b: '3' } }))).toBe(400);
    expect(await statusOf(call('DELETE', `/images/${id}/metadata/b`))).toBe(204);
    expect(await statusOf(call('DELETE', `/images/${id}/metadata/b`))).toBe(404);
    expect(await metadata()).toEqual({ a: '3' });
    expect(await statusOf(call('PUT', `/images/${id}/metadata`, { metadata: { kernel_id: 'x' } }))).toBe(400);
    expect(await statusOf(call('DELETE', `/images/${cloud.imageId}`))).toBe(403);
    expect(await metadata()).toEqual({ a: '3' });
    expect(await statusOf(call('DELETE', `/images/${id}`))).toBe(204);
    expect(await statusOf(get(`/images/${id}`))).toBe(404);
  });
});

describe('networks, volumes and what is gone', () => {
  it('networks are shown below 2.36, floating IPs are none', async () => {
    expect((await get('/os-networks')).json()).toMatchObject({ networks: [{ id: cloud.networkId, label: 'net', cidr: null }] });
    expect((await get('/os-tenant-networks')).json()).toEqual({ networks: [{ id: cloud.networkId, label: 'net', cidr: '192.0.2.0/24' }] });
    expect((await get('/os-floating-ips')).json()).toEqual({ floating_ips: [] });
    const id = await cloud.server(member);
    const act = (body: object, microversion: string) =>
      cloud.call('POST', `${base}/servers/${id}/action`, { as: member, body, microversion });
    expect(await statusOf(act({ addFloatingIp: { address: '192.0.2.9' } }, '2.43'))).toBe(404);
    expect((await act({ addFloatingIp: { address: '192.0.2.9' } }, '2.44')).json()).toEqual({
      badRequest: { code: 400, message: 'There is no such action: addFloatingIp' },
    });
  });
  it('without a volume service: 501 where it would be asked, 404 for what cannot be', async () => {
    const id = await cloud.server(member);
    const volume = randomUUID();
    const attachments = `${base}/servers/${id}/os-volume_attachments`;
    expect([await statusOf(get('/os-volumes')), await statusOf(get('/os-volumes', '2.36'))]).toEqual([501, 404]);
    expect((await get(`/servers/${id}/os-volume_attachments`)).json()).toEqual({ volumeAttachments: [] });
    expect(await statusOf(cloud.call('POST', attachments, { as: member, body: { volumeAttachment: { volumeId: volume } } }))).toBe(404);
    expect(await statusOf(cloud.call('DELETE', `${attachments}/${volume}`, { as: member }))).toBe(404);
    const snapshot = { volume_id: volume, create_info: { snapshot_id: 's', type: 'qcow2', new_file: 'f' } };
    expect(await statusOf(cloud.call('POST', `${base}/os-assisted-volume-snapshots`, { body: { snapshot } }))).toBe(400);
    expect(await statusOf(cloud.call('DELETE', `${base}/os-assisted-volume-snapshots/1?delete_info={}`))).toBe(404);
  });
  it('410 for what the API has dropped, whoever asks', async () => {
    for (const path of ['/os-cells', '/os-agents', '/os-fping', '/os-certificates/root', '/os-cloudpipe'])
      expect([path, (await get(path)).json()]).toEqual([path, { computeFault: expect.objectContaining({ code: 410 }) as object }]);
    const id = await cloud.server(member);
    expect(await statusOf(cloud.call('POST', `${base}/servers/${id}/action`, { body: { resetNetwork: null } }))).toBe(410);
  });
});

describe('what is asked of one server', () => {
  it('diagnostics: what is not measured is null, not zero; only of one that runs', async () => {
    const id = await cloud.server(member);
    expect((await get(`/servers/${id}/diagnostics`, '2.47', cloud.admin)).json()).toEqual({ memory: 512 * 1024 });
    expect((await get(`/servers/${id}/diagnostics`, '2.48', cloud.admin)).json()).toMatchObject({
      state: 'running',
      num_cpus: 1,
      num_nics: 1,
      memory_details: { maximum: 512, used: null },
      nic_details: [{ rx_octets: null }],
    });
    expect(await statusOf(get(`/servers/${id}/diagnostics`))).toBe(403);
    await cloud.db.updateTable('server').set({ vm_state: 'stopped', power_state: 4 }).where('id', '=', id).execute();
    expect(await statusOf(get(`/servers/${id}/diagnostics`, '2.1', cloud.admin))).toBe(409);
  });
  it('a forced delete deletes, a restore finds nothing deferred; passwords', async () => {
    const id = await cloud.server(member);
    const act = (body: object) => cloud.call('POST', `${base}/servers/${id}/action`, { as: member, body });
    expect((await act({ restore: null })).json()).toMatchObject({
      conflictingRequest: { message: `Cannot 'restore' instance ${id} while it is in vm_state active` },
    });
    expect((await get(`/servers/${id}/os-server-password`)).json()).toEqual({ password: '' });
    expect(await statusOf(cloud.call('DELETE', `${base}/servers/${id}/os-server-password`, { as: member }))).toBe(204);
    expect((await get(`/servers/${id}/topology`, '2.78')).json()).toEqual({ nodes: [], pagesize_kb: null });
    expect(await statusOf(act({ forceDelete: null }))).toBe(202);
    const row = await cloud.db.selectFrom('server').select('task_state').where('id', '=', id).executeTakeFirstOrThrow();
    expect(row.task_state).toBe('deleting');
  });
  it('a password is not changed in a guest without an agent, and of one that does not run not asked for', async () => {
    const id = await cloud.server(member);
    const act = (body: object) => cloud.call('POST', `${base}/servers/${id}/action`, { as: member, body });
    expect((await act({ changePassword: { adminPass: 'x' } })).json()).toEqual({
      conflictingRequest: { code: 409, message: expect.stringContaining('QEMU guest agent is not enabled') as string },
    });
    expect([await statusOf(act({ changePassword: {} })), await statusOf(act({ changePassword: null }))]).toEqual([400, 400]);
    await cloud.db.updateTable('server').set({ vm_state: 'stopped' }).where('id', '=', id).execute();
    expect((await act({ changePassword: { adminPass: 'x' } })).json()).toEqual({
      conflictingRequest: { code: 409, message: `Cannot 'changePassword' instance ${id} while it is in vm_state stopped` },
    });
  });
  it('interfaces: listed, shown, attached and taken away, each refusal in its turn', async () => {
    const id = await cloud.server(member);
    const path = `/servers/${id}/os-interface`;
    const { interfaceAttachments } = (await get(path)).json<{ interfaceAttachments: { port_id: string }[] }>();
    const port = interfaceAttachments[0]?.port_id ?? '';
    expect((await get(`${path}/${port}`)).json()).toMatchObject({ interfaceAttachment: { port_id: port } });
    expect(await statusOf(get(`${path}/${randomUUID()}`))).toBe(404);
    const attach = (interfaceAttachment: object | undefined, microversion = '2.70', as = member) =>
      cloud.call('POST', base + path, { as, microversion, body: interfaceAttachment === undefined ? {} : { interfaceAttachment } });
    const made = (await attach({ net_id: cloud.networkId, fixed_ips: [{ ip_address: '192.0.2.77' }], tag: 'data' })).json();
    expect(made).toEqual({
      interfaceAttachment: {
        net_id: cloud.networkId,
        port_id: expect.any(String) as string,
        mac_addr: expect.any(String) as string,
        port_state: expect.any(String) as string,
        fixed_ips: [{ subnet_id: expect.any(String) as string, ip_address: '192.0.2.77' }],
        tag: 'data',
      },
    });
    expect(await statusOf(attach(undefined, '2.1'))).toBe(200);
    const reader = await cloud.user('reader', member.projectId);
    const other = await cloud.server(member);
    const bound = (await get(`/servers/${other}/os-interface`)).json<{ interfaceAttachments: { port_id: string }[] }>();
    const refused: readonly (readonly [object, number, string, string?])[] = [
      [{ net_id: cloud.networkId, port_id: port }, 400, 'Must not input both network_id and port_id'],
      [{ fixed_ips: [{ ip_address: '192.0.2.9' }] }, 400, 'Must input network_id when request IP address'],
      [{ net_id: cloud.networkId, fixed_ips: [{ ip_address: 'nine' }] }, 400, 'valid IP'],
      [{ net_id: cloud.networkId, fixed_ips: [{ ip_address: '10.0.0.1' }] }, 400, 'not a valid IP'],
      [{ net_id: cloud.networkId, fixed_ips: [{ ip_address: '192.0.2.77' }] }, 409, 'already in use'],
      [{ net_id: randomUUID() }, 404, 'could not be found'],
      [{ port_id: randomUUID() }, 404, 'could not be found'],
      [{ port_id: bound.interfaceAttachments[0]?.port_id }, 409, 'still in use'],
      [{ net_id: 'x' }, 400, 'net_id'],
      [{ tag: 'a' }, 400, 'tag', '2.48'],
    ];
    for (const [body, status, words, microversion] of refused) {
      const answer = await attach(body, microversion);
      expect([body, answer.statusCode, answer.body]).toEqual([body, status, expect.stringContaining(words)]);
    }
    // An agent that does not hear of VLANs would put the port among all the others: nothing is made.
    const vlan = randomUUID();
    await cloud.db.insertInto('network').values({ id: vlan, name: 'blue', project_id: member.projectId, vlan: 101 }).execute();
    const unkept = await attach({ net_id: vlan });
    expect([unkept.statusCode, unkept.body]).toEqual([
      409,
      expect.stringMatching(/cannot be reached from the server's host: (?!.*(101|node1))/),
    ]);
    expect(await cloud.db.selectFrom('port').select('id').where('network_id', '=', vlan).execute()).toEqual([]);
    await cloud.db.deleteFrom('network').where('id', '=', vlan).execute();
    expect(await statusOf(attach({}, '2.70', reader))).toBe(403);
    expect(await statusOf(attach({}, '2.70', await cloud.user('member')))).toBe(404);
    const remove = (which: string, as = member) => cloud.call('DELETE', `${base}${path}/${which}`, { as });
    expect([await statusOf(remove(randomUUID())), await statusOf(remove(port, reader))]).toEqual([404, 403]);
    // Two at once, as a client takes a network away: the second waits for the end of the first.
    const second = ((await get(path)).json() as { interfaceAttachments: { port_id: string }[] }).interfaceAttachments[1]?.port_id ?? '';
    expect(await statusOf(remove(port))).toBe(202);
    let isAnswered = false;
    const waiting = remove(second).finally(() => (isAnswered = true));
    await new Promise((resolve) => setTimeout(resolve, 200));
    expect(isAnswered).toBe(false);
    await cloud.db.updateTable('server').set({ task_state: null }).where('id', '=', id).execute();
    expect((await waiting).statusCode).toBe(202);
    // What it is at besides is no turn to wait for.
    await cloud.db.updateTable('server').set({ task_state: 'migrating' }).where('id', '=', id).execute();
    expect((await remove(port)).json()).toEqual({
      conflictingRequest: { code: 409, message: `Cannot 'detach_interface' instance ${id} while it is in task_state migrating` },
    });
    await cloud.db.updateTable('server').set({ task_state: null, vm_state: 'shelved' }).where('id', '=', id).execute();
    expect((await attach({})).json()).toEqual({
      conflictingRequest: { code: 409, message: `Cannot 'attach_interface' instance ${id} while it is in vm_state shelved` },
    });
  });
  it('an interface that the guest does not get: what is known of it, and no waiting for a server that goes away', async () => {
    const attach = async (end: TestCloud['attaching']['end'], as = member) => {
      const id = await cloud.server(member);
      cloud.attaching.end = end;
      try {
        return await cloud.call('POST', `${base}/servers/${id}/os-interface`, { as, body: { interfaceAttachment: {} } });
      } finally {
        cloud.attaching.end = 'done';
      }
    };
    const answers: readonly (readonly [TestCloud['attaching']['end'], number, RegExp])[] = [
      ['failed', 500, /Failed to attach network adapter device to [-0-9a-f]+"/],
      ['unknown', 500, /It is not known whether .* port [-0-9a-f]+ stays the server's; detach it to give it up"/],
      [{ task_state: 'deleting' }, 409, /while it is in task_state deleting/],
      [{ task_state: null }, 409, /while it is in task_state None/],
      [{ task_state: null, vm_state: 'deleted', deleted_at: new Date() }, 404, /could not be found/],
    ];
    for (const [end, status, words] of answers) {
      const answer = await attach(end);
      expect([end, answer.statusCode, answer.body]).toEqual([end, status, expect.stringMatching(words)]);
    }
    expect((await attach('unknown', cloud.admin)).body).toContain('give it up: no tap');
  });
  it('a serial console by the action of old, up to 2.5', async () => {
    const id = await cloud.server(member);
    const ask = (microversion: string, body: object = { 'os-getSerialConsole': { type: 'serial' } }) =>
      cloud.call('POST', `${base}/servers/${id}/action`, { as: member, body, microversion });
    expect((await ask('2.5')).json()).toEqual({ console: { type: 'serial', url: expect.stringMatching(/^ws:.*token=/) as string } });
    expect(await statusOf(ask('2.6'))).toBe(400);
    expect(await statusOf(ask('2.5', { 'os-getSPICEConsole': { type: 'spice-html5' } }))).toBe(400);
  });
});

describe('external events', () => {
  it('are acknowledged one by one: 200, 207 when some server is not there, 404 when none is', async () => {
    const id = await cloud.server(member);
    const send = (events: readonly object[], as = cloud.admin, microversion = '2.1') =>
      cloud.call('POST', `${base}/os-server-external-events`, { as, body: { events }, microversion });
    const event = { server_uuid: id, name: 'network-changed' };
    const missing = { ...event, server_uuid: randomUUID() };
    expect((await send([event])).json()).toEqual({ events: [{ ...event, status: 'completed', code: 200 }] });
    const mixed = await send([event, missing]);
    expect([mixed.statusCode, mixed.json()]).toEqual([
      207,
      {
        events: [
          { ...event, status: 'completed', code: 200 },
          { ...missing, status: 'failed', code: 404 },
        ],
      },
    ]);
    expect(await statusOf(send([missing]))).toBe(404);
    expect(await statusOf(send([{ ...event, name: 'power-update' }]))).toBe(400);
    expect(await statusOf(send([{ ...event, name: 'power-update' }], cloud.admin, '2.76'))).toBe(200);
    expect(await statusOf(send([event], member))).toBe(403);
  });
});

describe('security groups', () => {
  it('are made with their rules below 2.36, given to a server at any version, and shown with it', async () => {
    const post = (path: string, body: object, as = member): Promise<Called> =>
      cloud.call('POST', base + path, { as, body, microversion: '2.1' });
    const made = (await post('/os-security-groups', { security_group: { name: 'web', description: 'w' } })).json<{
      security_group: { id: string };
    }>();
    const { id } = made.security_group;
    const rule = await post('/os-security-group-rules', {
      security_group_rule: { parent_group_id: id, ip_protocol: 'tcp', from_port: '80', to_port: 80, cidr: '10.0.0.0/8' },
    });
    expect(rule.json()).toMatchObject({
      security_group_rule: { parent_group_id: id, ip_protocol: 'tcp', from_port: 80, to_port: 80, ip_range: { cidr: '10.0.0.0/8' } },
    });
    expect(
      await statusOf(
        post('/os-security-group-rules', { security_group_rule: { parent_group_id: id, ip_protocol: 'tcp', from_port: 9, to_port: 8 } }),
      ),
    ).toBe(400);
    expect(
      (await get('/os-security-groups')).json<{ security_groups: { name: string }[] }>().security_groups.map(({ name }) => name),
    ).toEqual(['default', 'web']);
    expect(await statusOf(get('/os-security-groups', '2.36'))).toBe(404);
    expect(await statusOf(get(`/os-security-groups/${id}`, '2.1', await cloud.user('member')))).toBe(404);

    const create = (server: object): Promise<Called> =>
      post('/servers', {
        server: { name: 'vm', imageRef: cloud.imageId, flavorRef: cloud.flavorId, networks: [{ uuid: cloud.networkId }], ...server },
      });
    const refused = await create({ security_groups: [{ name: 'nobody' }] });
    expect([refused.statusCode, refused.json().badRequest.message]).toEqual([400, expect.stringMatching(/nobody/)]);
    const server = (await create({ security_groups: [{ name: 'web' }] })).json<{ server: { id: string } }>().server.id;
    const names = async (): Promise<readonly string[]> =>
      (await get(`/servers/${server}`))
        .json<{ server: { security_groups: { name: string }[] } }>()
        .server.security_groups.map(({ name }) => name);
    const act = (action: string, name: string): Promise<number> => statusOf(post(`/servers/${server}/action`, { [action]: { name } }));
    expect(await names()).toEqual(['web']);
    expect([await act('addSecurityGroup', 'default'), await names()]).toEqual([202, ['default', 'web']]);
    expect(
      (await get(`/servers/${server}/os-security-groups`, '2.93')).json<{ security_groups: { name: string; rules: object[] }[] }>()
        .security_groups,
    ).toMatchObject([
      { name: 'default', rules: [{ group: { name: 'default' } }, { group: { name: 'default' } }] },
      { name: 'web', rules: [{ from_port: 80 }] },
    ]);
    expect(await statusOf(cloud.call('DELETE', `${base}/os-security-groups/${id}`, { as: member, microversion: '2.1' }))).toBe(409);
    expect([await act('removeSecurityGroup', 'web'), await names()]).toEqual([202, ['default']]);
    expect([await act('removeSecurityGroup', 'web'), await act('addSecurityGroup', 'nobody')]).toEqual([404, 404]);
    const ruleId = rule.json<{ security_group_rule: { id: string } }>().security_group_rule.id;
    for (const path of [`os-security-group-rules/${ruleId}`, `os-security-groups/${id}`])
      expect([path, await statusOf(cloud.call('DELETE', `${base}/${path}`, { as: member, microversion: '2.1' }))]).toEqual([path, 202]);
  });
});
