import { randomUUID } from 'node:crypto';
import { serverSortKeys } from '@godwit/contract/schemas/compute/queries';
import { powerState } from '@godwit/domain/server';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { insertImage } from '../../store/testing/rows.ts';
import type { TestUser } from '../test-api.ts';
import { filterKeys } from './server-list.ts';
import type { ShownServer } from './server-rows.ts';
import { shownServers } from './shown-servers.ts';
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
const create = (body: object, microversion = '2.1', extra: object = {}, as = member) =>
  cloud.call('POST', `${base}/servers`, {
    as,
    microversion,
    body: { server: { name: 'vm', imageRef: cloud.imageId, flavorRef: cloud.flavorId, ...body }, ...extra },
  });
const show = async (id: string, microversion = '2.93', as = member) =>
  (await cloud.call('GET', `${base}/servers/${id}`, { as, microversion })).json().server;
const idsOf = (answer: { json: () => { servers: { id: string }[] } }): string[] => answer.json().servers.map((one) => one.id);

describe('create', () => {
  it('answers 202 with what clients read, and the server is there', async () => {
    const answer = await create({ networks: [{ uuid: cloud.networkId }], metadata: { a: 'b' } });
    expect(answer.statusCode).toBe(202);
    const { id, adminPass } = answer.json().server;
    expect(answer.headers['location']).toBe(`http://localhost:80/compute/v2.1/servers/${id}`);
    expect(adminPass).not.toBe('');
    expect(await show(id)).toMatchObject({
      name: 'vm',
      status: 'BUILD',
      'OS-EXT-STS:task_state': 'scheduling',
      metadata: { a: 'b' },
      addresses: { net: [{ version: 4, 'OS-EXT-IPS:type': 'fixed' }] },
      hostId: '',
    });
  });
  it('has a description of its own from 2.19 on, the name before', async () => {
    expect((await show((await create({})).json().server.id)).description).toBe('vm');
    expect((await show((await create({ networks: 'none', description: null }, '2.93')).json().server.id)).description).toBeNull();
  });
  it('makes several, numbered, under one reservation', async () => {
    const answer = await create({ name: 'many', min_count: 2, max_count: '3', return_reservation_id: true });
    const { reservation_id, ...rest } = answer.json();
    expect(rest).toEqual({});
    const list = await cloud.call('GET', `${base}/servers?reservation_id=${reservation_id}&sort_key=display_name&sort_dir=asc`, {
      as: member,
    });
    expect(list.json().servers.map((one: { name: string }) => one.name)).toEqual(['many-1', 'many-2', 'many-3']);
  });
  it('is made with a private flavor by who has access to it', async () => {
    const flavorRef = 'private';
    await cloud.db
      .insertInto('flavor')
      .values({ id: flavorRef, name: flavorRef, vcpus: 1, ram_mib: 512, disk_gib: 1, extra_specs: '{}', is_public: false })
      .execute();
    const refused = await create({ flavorRef });
    expect([refused.statusCode, refused.json().badRequest?.message]).toEqual([400, 'Invalid flavorRef provided.']);
    await cloud.db.insertInto('flavor_access').values({ flavor_id: flavorRef, project_id: member.projectId }).execute();
    expect((await create({ flavorRef })).statusCode).toBe(202);
    expect((await create({ flavorRef }, '2.1', {}, await cloud.user('member'))).statusCode).toBe(400);
  });
  it('is made from an image that another project shares with the caller’s, and of none else', async () => {
    const owner = await cloud.user('member');
    const imageRef = await insertImage(cloud.db);
    await cloud.db.updateTable('image').set({ visibility: 'shared', owner: owner.projectId }).where('id', '=', imageRef).execute();
    expect((await create({ imageRef })).statusCode).toBe(400);
    await cloud.db.insertInto('image_member').values({ image_id: imageRef, project_id: member.projectId, status: 'accepted' }).execute();
    expect((await create({ imageRef })).statusCode).toBe(202);
  });
  const wrong: readonly (readonly [string, object, string, object, string | RegExp])[] = [
    ['no such flavor', { flavorRef: 'nope' }, '2.1', {}, 'Invalid flavorRef provided.'],
    ['no such image', { imageRef: randomUUID() }, '2.1', {}, /^Image .* could not be found\.$/],
    ['an image that is no id', { imageRef: 'x' }, '2.1', {}, 'Invalid imageRef provided.'],
    ['no image', { imageRef: '' }, '2.1', {}, 'Invalid imageRef provided.'],
    ['no such network', { networks: [{ uuid: randomUUID() }] }, '2.1', {}, /^Network .* could not be found\.$/],
    ['networks left out from 2.37 on', {}, '2.37', {}, "'networks' is a required property"],
    ['networks as a word before 2.37', { networks: 'auto' }, '2.36', {}, /^Invalid input for field\/attribute server\.networks/],
    ['one port for two', { max_count: 2, networks: [{ port: randomUUID() }] }, '2.1', {}, /single configured port ID/],
    [
      'one address for two',
      { max_count: 2, networks: [{ uuid: randomUUID(), fixed_ip: '192.0.2.8' }] },
      '2.1',
      {},
      /fixed_ip is specified/,
    ],
    ['min above max', { min_count: 3, max_count: 2 }, '2.1', {}, 'min_count must be <= max_count'],
    ['no such zone', { availability_zone: 'mars' }, '2.1', {}, 'The requested availability zone is not available'],
    ['a blank at the end of the name', { name: 'vm ' }, '2.1', {}, /^Invalid input for field\/attribute server\.name/],
    ['an unknown property', { color: 'red' }, '2.1', {}, "Additional properties are not allowed ('color' was unexpected)"],
    ['description before 2.19', { description: 'x' }, '2.18', {}, /description/],
    ['host before 2.74', { host: 'node1', networks: 'none' }, '2.73', {}, /host/],
    ['a key pair that is not there', { key_name: 'none' }, '2.1', {}, 'Invalid key_name provided.'],
    ['a group that is not there', {}, '2.1', { 'os:scheduler_hints': { group: randomUUID() } }, /^Instance group .* could not be found\.$/],
    [
      'a hint that is not offered',
      {},
      '2.1',
      { 'os:scheduler_hints': { query: '[]' } },
      'The scheduler hint query is not offered by this cloud.',
    ],
    [
      'a volume',
      { block_device_mapping_v2: [{ source_type: 'volume', destination_type: 'volume', uuid: randomUUID(), boot_index: 0 }] },
      '2.1',
      {},
      /volumes|local disk/,
    ],
  ];
  it.each(wrong)('400 for %s, and nothing is made', async (_name, body, microversion, extra, message) => {
    const before = idsOf(await cloud.call('GET', `${base}/servers`, { as: member })).length;
    const answer = await create(body, microversion, extra);
    expect([answer.statusCode, answer.json().badRequest?.message]).toEqual([
      400,
      typeof message === 'string' ? message : expect.stringMatching(message),
    ]);
    expect(idsOf(await cloud.call('GET', `${base}/servers`, { as: member })).length).toBe(before);
  });
  it('lets only an admin name a host, and refuses one that is not there', async () => {
    const own = await create({ availability_zone: 'nova:node1' });
    expect([own.statusCode, own.json().forbidden.message]).toEqual([
      403,
      "Policy doesn't allow os_compute_api:servers:create:forced_host to be performed.",
    ]);
    expect((await create({ host: 'node1', networks: 'none' }, '2.74')).json().forbidden.message).toBe(
      "Policy doesn't allow compute:servers:create:requested_destination to be performed.",
    );
    expect((await create({ host: 'mars', networks: 'none' }, '2.74', {}, cloud.admin)).json().badRequest.message).toBe(
      'Compute host mars could not be found.',
    );
    expect((await create({ hypervisor_hostname: 'node2', networks: 'none' }, '2.74', {}, cloud.admin)).statusCode).toBe(202);
  });
  it('shows nobody a private image of another project', async () => {
    const imageId = randomUUID();
    await cloud.db
      .insertInto('image')
      .values({
        id: imageId,
        name: 'private',
        status: 'active',
        disk_format: 'raw',
        container_format: 'bare',
        size_bytes: 1,
        visibility: 'private',
        owner: cloud.admin.projectId,
      })
      .execute();
    expect((await create({ imageRef: imageId })).statusCode).toBe(400);
  });
  it('403 for a reader', async () => {
    const reader = await cloud.user('reader', member.projectId);
    expect((await create({}, '2.1', {}, reader)).json().forbidden.message).toBe(
      "Policy doesn't allow os_compute_api:servers:create to be performed.",
    );
  });
});

describe('list', () => {
  it('shows a project its own, an admin all on request, and nobody else', async () => {
    const own = await cloud.user('member');
    const id = await cloud.server(own);
    expect(idsOf(await cloud.call('GET', `${base}/servers`, { as: own }))).toEqual([id]);
    expect(idsOf(await cloud.call('GET', `${base}/servers/detail`))).not.toContain(id);
    expect(idsOf(await cloud.call('GET', `${base}/servers/detail?all_tenants=True`))).toContain(id);
    expect((await cloud.call('GET', `${base}/servers/detail?all_tenants=1`, { as: own })).json().forbidden.message).toBe(
      "Policy doesn't allow os_compute_api:servers:detail:get_all_tenants to be performed.",
    );
  });
  it('filters', async () => {
    const own = await cloud.user('member');
    const active = await cloud.server(own, { name: 'web-1', tags: ['a', 'b'] });
    const stopped = await cloud.server(own, {
      name: 'db-1',
      vm_state: 'stopped',
      power_state: 4,
      tags: ['b'],
      host_id: cloud.hosts.node2,
      locked: true,
    });
    const moving = await cloud.server(own, { name: 'web-2', task_state: 'migrating' });
    const address = (await show(active, '2.1', own)).addresses.net[0].addr;
    const list = async (query: string, as = own, microversion = '2.73') =>
      idsOf(await cloud.call('GET', `${base}/servers/detail?${query}`, { as, microversion })).sort();
    const sorted = (...ids: string[]): string[] => ids.sort();
    expect(await list('name=web')).toEqual(sorted(active, moving));
    expect(await list('name=^db-.$')).toEqual([stopped]);
    expect(await list('status=ACTIVE')).toEqual([active]);
    expect(await list('status=migrating')).toEqual([moving]);
    expect(await list('status=SHUTOFF&status=MIGRATING')).toEqual(sorted(stopped, moving));
    expect(await list('tags=a,b')).toEqual([active]);
    expect(await list('tags-any=a,b')).toEqual(sorted(active, stopped));
    expect(await list('not-tags-any=b')).toEqual([moving]);
    expect(await list(`ip=${address.replaceAll('.', '\\.')}$`)).toEqual([active]);
    expect(await list(`flavor=${cloud.flavorId}&image=${cloud.imageId}&vm_state=stopped`, own, '2.83')).toEqual([stopped]);
    expect(await list('locked=true')).toEqual([stopped]);
    // Of who is no admin the filter by host is ignored, not obeyed: the answer must not tell where servers live.
    expect(await list('host=node2')).toEqual(sorted(active, stopped, moving));
    expect(await list(`host=node2&all_tenants=1&project_id=${own.projectId}`, cloud.admin)).toEqual([stopped]);
    await cloud.db
      .updateTable('server')
      .set({ access_ip_v4: '192.0.2.7', locked_by: 'owner', disk_config: 'AUTO' })
      .where('id', '=', stopped)
      .execute();
    for (const query of ['access_ip_v4=192.0.2.7', 'locked_by=owner', 'auto_disk_config=true'])
      expect([query, await list(`${query}&all_tenants=1&project_id=${own.projectId}`, cloud.admin)]).toEqual([query, [stopped]]);
    for (const query of ['root_device_name=/dev/sda', 'soft_deleted=true', 'kernel_id=x'])
      expect([query, await list(`${query}&all_tenants=1&project_id=${own.projectId}`, cloud.admin)]).toEqual([query, []]);
    const gone = await cloud.server(own, { name: 'gone', vm_state: 'deleted', deleted_at: new Date() });
    expect(await list(`deleted=true&all_tenants=1&project_id=${own.projectId}`, cloud.admin)).toEqual([gone]);
    expect(await list('deleted=true')).toEqual(sorted(active, stopped, moving));
    expect(await list('changes-since=2000-01-01T00:00:00Z')).toEqual(sorted(active, stopped, moving, gone));
    expect(await list('changes-since=2100-01-01T00:00:00Z')).toEqual([]);
  });
  it('every filter picks by what it names, and every key sorts by it', async () => {
    const own = await cloud.user('member');
    const kernel = randomUUID();
    const differing = (which: 'first' | 'second') => {
      const first = which === 'first';
      return {
        name: which,
        hostname: which,
        description: which,
        user_id: which,
        vm_state: first ? ('active' as const) : ('paused' as const),
        task_state: first ? ('migrating' as const) : null,
        power_state: first ? powerState.running : powerState.paused,
        progress: first ? 10 : 20,
        launch_index: first ? 1 : 2,
        flavor_id: which,
        image_id: first ? cloud.imageId : second.image,
        key_name: which,
        config_drive: first,
        reservation_id: which,
        host_id: first ? cloud.hosts.node1 : cloud.hosts.node2,
        created_at: new Date(first ? '2020-01-01T00:00:00.700Z' : '2021-01-01T00:00:00Z'),
        updated_at: new Date(first ? '2021-06-01T00:00:00Z' : '2020-06-01T00:00:00Z'),
        launched_at: new Date(first ? '2022-01-02T00:00:00Z' : '2022-01-01T00:00:00Z'),
        terminated_at: new Date(first ? '2023-01-02T00:00:00Z' : '2023-01-01T00:00:00Z'),
        tags: first ? ['a', 'both'] : ['b', 'both'],
        locked: first,
        locked_by: first ? ('admin' as const) : ('owner' as const),
        access_ip_v4: first ? '192.0.2.1' : '192.0.2.2',
        access_ip_v6: first ? '2001:db8::1' : '2001:db8::2',
        disk_config: first ? ('AUTO' as const) : ('MANUAL' as const),
        direct_boot: first
          ? JSON.stringify({ kernelImageId: kernel, ramdiskImageId: second.image, commandLine: '' })
          : JSON.stringify({ kernelImageId: second.image, ramdiskImageId: kernel, commandLine: '' }),
      };
    };
    const second = { image: await insertImage(cloud.db) };
    const ids = { first: await cloud.server(own, differing('first')), second: await cloud.server(own, differing('second')) };
    const { id: zone } = await cloud.db
      .insertInto('aggregate')
      .values({ name: 'far', metadata: JSON.stringify({ availability_zone: 'far' }) })
      .returning('id')
      .executeTakeFirstOrThrow();
    await cloud.db.insertInto('aggregate_host').values({ aggregate_id: zone, host_id: cloud.hosts.node2 }).execute();
    for (const [id, address] of [
      [ids.first, '192.0.2.201'],
      [ids.second, '2001:db8::201'],
    ] as const)
      await cloud.db
        .updateTable('port')
        .set({ fixed_ips: sql`jsonb_set(fixed_ips, '{0,address}', to_jsonb(${address}::text))` })
        .where('server_id', '=', id)
        .execute();
    const list = async (query: string) => {
      const found = idsOf(
        await cloud.call('GET', `${base}/servers/detail?all_tenants=1&project_id=${own.projectId}&${query}`, { microversion: '2.73' }),
      );
      return found.map((id) => (id === ids.first ? 'first' : id === ids.second ? 'second' : 'another'));
    };
    /** What picks the first alone, the second alone; null where nothing is the one's alone. */
    const picks: Readonly<Record<string, readonly [first: string | null, second: string | null]>> = {
      name: ['^fir', 'second'],
      display_name: ['first', 'sec'],
      status: ['MIGRATING', 'PAUSED'],
      image: [`http://image/${cloud.imageId}`, second.image],
      image_ref: [cloud.imageId, second.image],
      flavor: ['http://compute/flavors/first', 'second'],
      reservation_id: ['first', 'second'],
      ip: ['192.0.2.2', null],
      ip6: [null, '2001:db8::201'],
      vm_state: ['active', 'paused'],
      task_state: ['migrating', 'None'],
      power_state: ['1', '3'],
      key_name: ['first', 'second'],
      config_drive: ['true', 'false'],
      progress: ['10', '20'],
      availability_zone: ['nova', 'far'],
      created_at: ['2020-01-01T00:00:00Z', '2021-01-01T00:00:00'],
      launched_at: ['2022-01-02T00:00:00Z', '2022-01-01T00:00:00Z'],
      terminated_at: ['2023-01-02', '2023-01-01T00:00:00Z'],
      tags: ['a,both', 'b'],
      'tags-any': ['a,c', 'b'],
      'not-tags': ['b,both', 'a,both'],
      'not-tags-any': ['b,c', 'a'],
      locked: ['true', 'false'],
      host: ['node1', 'node2'],
      node: ['node1', 'node2'],
      uuid: [ids.first, ids.second],
      user_id: ['first', 'second'],
      hostname: ['first', 'second'],
      launch_index: ['1', '2'],
      description: ['first', 'second'],
      display_description: ['first', 'second'],
      access_ip_v4: ['192.0.2.1', '192.0.2.2'],
      access_ip_v6: ['2001:db8::1', '2001:db8::2'],
      auto_disk_config: ['true', 'false'],
      kernel_id: [kernel, second.image],
      ramdisk_id: [second.image, kernel],
      locked_by: ['admin', 'owner'],
      // The same of every server.
      root_device_name: [null, null],
      soft_deleted: [null, null],
    };
    expect(Object.keys(picks)).toEqual(filterKeys);
    for (const [key, values] of Object.entries(picks))
      for (const [index, value] of values.entries())
        if (value !== null)
          expect([key, value, await list(`${key}=${encodeURIComponent(value)}`)]).toEqual([key, value, [index === 0 ? 'first' : 'second']]);
    // Of both: no tag of the list alone is on both, and one is.
    expect([await list('not-tags=a,b'), await list('not-tags-any=both')]).toEqual([['second', 'first'], []]);
    const changed = async (query: string) =>
      idsOf(await cloud.call('GET', `${base}/servers?${query}`, { as: own, microversion: '2.66' })).length;
    expect([
      await changed('changes-before=2020-12-31T00:00:00Z'),
      await changed('changes-since=2021-01-01T00:00:00Z&changes-before=2021-12-31T00:00:00Z'),
      await changed('changes-before=2020-01-01T00:00:00Z'),
    ]).toEqual([1, 1, 0]);
    const reversed = await cloud.call('GET', `${base}/servers?changes-since=2022-01-01T00:00:00Z&changes-before=2021-01-01T00:00:00Z`, {
      as: own,
      microversion: '2.66',
    });
    expect(reversed.statusCode).toBe(400);
    // Ascending the first comes first, but where its value is the greater one.
    const greater: readonly string[] = [
      ...['updated_at', 'launched_at', 'terminated_at', 'task_state', 'config_drive', 'locked', 'auto_disk_config'],
    ];
    const unlike = {
      uuid: ids.first > ids.second,
      image_ref: cloud.imageId > second.image,
      kernel_id: kernel > second.image,
      ramdisk_id: second.image > kernel,
      // nova and far.
      availability_zone: true,
      // The same of both.
      project_id: null,
      root_device_name: null,
    };
    for (const key of [...serverSortKeys, 'locked']) {
      const backwards = key in unlike ? unlike[key as keyof typeof unlike] : greater.includes(key);
      if (backwards === null) continue;
      const expected = backwards ? ['second', 'first'] : ['first', 'second'];
      for (const [direction, order] of [
        ['asc', expected],
        ['desc', expected.toReversed()],
      ] as const)
        expect([key, direction, await list(`sort_key=${key}&sort_dir=${direction}`)]).toEqual([key, direction, order]);
    }
    await cloud.db.deleteFrom('aggregate_host').where('aggregate_id', '=', zone).execute();
  });
  it('an admin who names another project means it; what is no status, and what is deleted, is not asked for by everybody', async () => {
    const own = await cloud.user('member');
    const id = await cloud.server(own);
    expect(idsOf(await cloud.call('GET', `${base}/servers?tenant_id=${own.projectId}`))).toEqual([id]);
    expect(idsOf(await cloud.call('GET', `${base}/servers?tenant_id=${own.projectId}&all_tenants=0`))).not.toContain(id);
    expect(idsOf(await cloud.call('GET', `${base}/servers?tenant_id=${own.projectId}`, { as: member }))).not.toContain(id);
    const ask = (status: string, microversion: string, as = own) =>
      cloud.call('GET', `${base}/servers?status=${status}`, { as, microversion });
    expect((await ask('SLEEPY', '2.37')).json()).toEqual({ servers: [] });
    expect((await ask('SLEEPY', '2.38')).json()).toEqual({ badRequest: { code: 400, message: 'Invalid status value' } });
    expect((await ask('deleted', '2.1')).json()).toEqual({
      forbidden: { code: 403, message: 'Only administrators may list deleted instances' },
    });
    expect((await ask('deleted', '2.1', cloud.admin)).statusCode).toBe(200);
  });
  it('shows each as it is shown alone, with all its ports and groups, in the order asked for, however many are read at a time', async () => {
    const { id: groupId } = (await cloud.db
      .insertInto('security_group')
      .values({ id: randomUUID(), project_id: member.projectId, name: 'Another', description: '' })
      .returning('id')
      .executeTakeFirstOrThrow()) as { id: string };
    for (const networks of ['none', 'auto']) await create({ networks }, '2.93');
    const nets = [{ uuid: cloud.networkId }, { uuid: cloud.networkId }];
    const { id } = (await create({ networks: nets, security_groups: [{ name: 'default' }, { name: groupId }] }, '2.93')).json().server;
    await cloud.db.updateTable('server').set({ host_id: cloud.hosts.node2 }).where('id', '=', id).execute();
    const admin = await cloud.user('admin');
    const listed = await cloud.call('GET', `${base}/servers/detail?all_tenants=1&sort_key=uuid`, { as: admin, microversion: '2.93' });
    const all: { id: string; security_groups: object[] }[] = listed.json().servers;
    for (const one of all) {
      const { server_groups: _, ...shown } = await show(one.id, '2.93', admin);
      expect(one).toEqual(shown);
    }
    expect(all.find((one) => one.id === id)).toMatchObject({
      security_groups: [{ name: 'Another' }, { name: 'default' }],
      addresses: { net: [{ version: 4 }, { version: 4 }] },
      'OS-EXT-SRV-ATTR:host': 'node2',
    });
    // Three, so that the last reading of two is not full.
    const ids = all.slice(-3).map((one) => one.id);
    ids.reverse();
    const read = async (atOnce?: number): Promise<readonly ShownServer[]> => {
      const found: ShownServer[] = [];
      for await (const some of shownServers(cloud.db, ids, atOnce)) found.push(...some);
      return found;
    };
    expect((await read(2)).map((row) => row.id)).toEqual(ids);
    expect(await read(2)).toEqual(await read());
  });
  it('pages with links that lead on, in any order', async () => {
    const own = await cloud.user('member');
    const made = [];
    for (const name of ['c', 'a', 'b', 'e', 'd']) made.push(await cloud.server(own, { name }));
    const seen: string[] = [];
    let url: string | undefined = `${base}/servers/detail?limit=2&sort_key=display_name&sort_dir=asc`;
    for (let pages = 0; url !== undefined && pages < 5; pages++) {
      const body: { servers: { name: string }[]; servers_links?: { href: string }[] } = (await cloud.call('GET', url, { as: own })).json();
      seen.push(...body.servers.map((one) => one.name));
      url = body.servers_links?.[0]?.href.replace('http://localhost:80', '');
    }
    expect(seen).toEqual(['a', 'b', 'c', 'd', 'e']);
    // What all have alike sorts nothing: the next key does, in the list as in the marker's place.
    const alike = await cloud.call('GET', `${base}/servers?sort_key=root_device_name&sort_key=display_name&sort_dir=asc&sort_dir=asc`, {
      as: own,
    });
    expect(alike.json().servers.map((one: { name: string }) => one.name)).toEqual(seen);
    expect(idsOf(await cloud.call('GET', `${base}/servers`, { as: own }))).toEqual([...made].reverse());
    expect((await cloud.call('GET', `${base}/servers?limit=0`, { as: own })).json()).toEqual({ servers: [] });
  });
  it.each([
    'limit=-1',
    'limit=x',
    `marker=${randomUUID()}`,
    'marker=x',
    'sort_key=password',
    'sort_dir=sideways',
    'name=(',
    'changes-since=yesterday',
    'all_tenants=maybe',
    'name=%00',
  ])('400 for ?%s', async (query) => {
    expect((await cloud.call('GET', `${base}/servers/detail?${query}`)).statusCode).toBe(400);
  });
  it('members filter by more from 2.83 on, and never learn where servers are by sorting', async () => {
    const own = await cloud.user('member');
    const running = await cloud.server(own);
    const other = await cloud.server(own, { vm_state: 'stopped', key_name: 'k', host_id: cloud.hosts.node2 });
    const ask = async (query: string, minor: number, as = own) =>
      idsOf(await cloud.call('GET', `${base}/servers?${query}`, { as, microversion: `2.${minor}` }));
    for (const query of ['vm_state=stopped', 'key_name=k', 'task_state=None&key_name=k', 'availability_zone=nova&key_name=k']) {
      expect([query, await ask(query, 82)]).toEqual([query, [other, running]]);
      expect([query, await ask(query, 83)]).toEqual([query, [other]]);
    }
    expect([await ask('ip6=^10', 4), await ask('ip6=^10', 5), await ask('locked=true', 72), await ask('locked=true', 73)]).toEqual([
      [other, running],
      [],
      [other, running],
      [],
    ]);
    // Never obeyed of them.
    for (const query of ['host=node2', 'node=node2', 'display_name=x', 'description=x', 'locked_by=owner'])
      expect([query, await ask(query, 83)]).toEqual([query, [other, running]]);
    for (const key of ['host', 'node']) {
      const refused = await cloud.call('GET', `${base}/servers/detail?sort_key=created_at&sort_key=${key}`, { as: own });
      expect(refused.json()).toEqual({ forbidden: { code: 403, message: `Only administrators can sort servers by ${key}` } });
    }
  });
});

describe('show', () => {
  it('tells an admin the host and a member only that it changed', async () => {
    const id = await cloud.server(member);
    const before = await show(id);
    expect(JSON.stringify(before)).not.toContain('node1');
    expect(await show(id, '2.93', cloud.admin)).toMatchObject({
      'OS-EXT-SRV-ATTR:host': 'node1',
      'OS-EXT-SRV-ATTR:hypervisor_hostname': 'node1',
      host_status: 'UP',
      'OS-EXT-AZ:availability_zone': 'nova',
    });
    await cloud.db.updateTable('server').set({ host_id: cloud.hosts.node2 }).where('id', '=', id).execute();
    const after = await show(id);
    expect(after.hostId).not.toBe(before.hostId);
    expect(after.hostId).toMatch(/^[0-9a-f]{56}$/);
    // Nor do two projects learn from it that they share a host.
    const other = await cloud.user('member');
    const beside = await cloud.server(other, { host_id: cloud.hosts.node2 });
    expect((await show(beside, '2.93', other)).hostId).not.toBe(after.hostId);
    expect((await show(await cloud.server(member, { host_id: cloud.hosts.node2 }))).hostId).toBe(after.hostId);
  });
  it('shows a fault only of what failed, with details only to an admin', async () => {
    const fault = JSON.stringify({ code: 500, message: 'No valid host was found.', details: 'secret', created: new Date().toISOString() });
    const id = await cloud.server(member, { vm_state: 'error', fault });
    expect((await show(id)).fault).toEqual({ code: 500, message: 'No valid host was found.', created: expect.any(String) });
    expect((await show(id, '2.1', cloud.admin)).fault.details).toBe('secret');
    await cloud.db.updateTable('server').set({ vm_state: 'active' }).where('id', '=', id).execute();
    expect((await show(id)).fault).toBeUndefined();
  });
  it('404 for another project’s, a deleted one and what is no id', async () => {
    const other = await cloud.server(cloud.admin);
    const gone = await cloud.server(member, { deleted_at: new Date(), vm_state: 'deleted' });
    for (const id of [other, gone, 'vm', '%20'])
      expect((await cloud.call('GET', `${base}/servers/${id}`, { as: member })).statusCode).toBe(404);
  });
});

describe('update', () => {
  it('changes what it names', async () => {
    const id = await cloud.server(member);
    const put = (body: object, microversion = '2.93') =>
      cloud.call('PUT', `${base}/servers/${id}`, { as: member, microversion, body: { server: body } });
    expect(
      (await put({ name: 'new', description: 'd', accessIPv4: '192.0.2.1', accessIPv6: '2001:db8::1', hostname: 'new-host' })).json()
        .server,
    ).toMatchObject({
      name: 'new',
      description: 'd',
      accessIPv4: '192.0.2.1',
      accessIPv6: '2001:db8::1',
      'OS-EXT-SRV-ATTR:hostname': 'new-host',
    });
    expect((await put({ accessIPv4: '' })).json().server).toMatchObject({ name: 'new', accessIPv4: '' });
    for (const [body, microversion] of [
      [{ name: '' }, '2.1'],
      [{ description: 'x' }, '2.18'],
      [{ accessIPv4: '999.1.1.1' }, '2.1'],
      [{ accessIPv6: 'x' }, '2.1'],
      [{ accessIPv6: ':::::' }, '2.1'],
    ] as const) {
      expect([body, (await put(body, microversion)).statusCode]).toEqual([body, 400]);
    }
  });
});

describe('metadata and tags', () => {
  it('come and go one by one and together', async () => {
    const id = await cloud.server(member);
    const url = `${base}/servers/${id}/metadata`;
    const as = member;
    expect((await cloud.call('POST', url, { as, body: { metadata: { a: '1', b: '2' } } })).json()).toEqual({
      metadata: { a: '1', b: '2' },
    });
    expect((await cloud.call('PUT', `${url}/c`, { as, body: { meta: { c: '3' } } })).json()).toEqual({ meta: { c: '3' } });
    expect((await cloud.call('PUT', `${url}/c`, { as, body: { meta: { d: '3' } } })).statusCode).toBe(400);
    expect((await cloud.call('DELETE', `${url}/a`, { as })).statusCode).toBe(204);
    expect((await cloud.call('DELETE', `${url}/a`, { as })).statusCode).toBe(404);
    expect((await cloud.call('GET', url, { as })).json()).toEqual({ metadata: { b: '2', c: '3' } });
    expect((await cloud.call('PUT', url, { as, body: { metadata: {} } })).json()).toEqual({ metadata: {} });
    expect((await cloud.call('POST', url, { as, body: { metadata: { x: 1 } } })).statusCode).toBe(400);
    const many = Object.fromEntries(Array.from({ length: 100 }, (_, index) => [`k${index}`, 'v']));
    expect((await cloud.call('POST', url, { as, body: { metadata: many } })).statusCode).toBe(200);
    expect(
      (await cloud.call('POST', url, { as, body: { metadata: Object.fromEntries(Object.keys(many).map((key) => [`${key}x`, 'v'])) } }))
        .statusCode,
    ).toBe(403);
    const tags = `${base}/servers/${id}/tags`;
    const microversion = '2.26';
    expect((await cloud.call('PUT', `${tags}/one`, { as, microversion })).statusCode).toBe(201);
    expect((await cloud.call('PUT', `${tags}/one`, { as, microversion })).statusCode).toBe(204);
    expect((await cloud.call('PUT', tags, { as, microversion, body: { tags: ['x', 'y', 'x'] } })).json()).toEqual({ tags: ['x', 'y'] });
    expect((await cloud.call('DELETE', `${tags}/one`, { as, microversion })).statusCode).toBe(404);
    expect((await cloud.call('DELETE', tags, { as, microversion })).statusCode).toBe(204);
  });
});
