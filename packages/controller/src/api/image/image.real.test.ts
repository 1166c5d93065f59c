import { createHash } from 'node:crypto';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { type CallOptions, startTestApi, type TestApi, type TestUser } from '../test-api.ts';
import { registerImage } from './plugin.ts';

let server: TestServer;
let api: TestApi;
let imageDir: string;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());
beforeEach(async () => {
  imageDir = await mkdtemp(join(tmpdir(), 'gw-image-api-'));
  api = await startTestApi((await server.database()).db, {
    more: async (app, context) =>
      void (await app.register(
        async (scope) => registerImage(scope, { ...context, config: { ...context.config, imageDir } }, { checkResponses: true }),
        { prefix: '/image' },
      )),
  });
});
afterEach(async () => {
  await api.app.close();
  await rm(imageDir, { recursive: true, force: true });
  expect(api.unexpected).toEqual([]);
});

const images = '/image/v2/images';
const create = async (body: object = {}, as?: TestUser) =>
  (
    await api.call('POST', images, {
      body: { name: 'i', disk_format: 'raw', container_format: 'bare', ...body },
      ...(as === undefined ? {} : { as }),
    })
  ).json();
const put = (id: string, data: Buffer | string, options: CallOptions = {}) =>
  api.app.inject({
    method: 'PUT',
    url: `${images}/${id}/file`,
    headers: { 'x-auth-token': (options.as ?? api.admin).token, 'content-type': 'application/octet-stream', ...options.headers },
    payload: data,
  });
const patch = (id: string, operations: object[], as: TestUser = api.admin) =>
  api.app.inject({
    method: 'PATCH',
    url: `${images}/${id}`,
    headers: { 'x-auth-token': as.token, 'content-type': 'application/openstack-images-v2.1-json-patch' },
    payload: JSON.stringify(operations),
  });
const names = async (query: string, as?: TestUser): Promise<string[]> =>
  (await api.call('GET', `${images}?${query}`, as === undefined ? {} : { as })).json().images.map((image: { name: string }) => image.name);

describe('discovery', () => {
  it('needs no token: 300 at the root', async () => {
    const answer = await api.call('GET', '/image', { as: null });
    expect([answer.statusCode, answer.json().versions[0]]).toEqual([
      300,
      { id: 'v2.9', status: 'CURRENT', links: [{ rel: 'self', href: 'http://localhost:80/image/v2/' }] },
    ]);
    expect((await api.call('GET', '/image/versions', { as: null })).statusCode).toBe(200);
    expect((await api.call('GET', images, { as: null })).statusCode).toBe(401);
  });
});

describe('an image', () => {
  it('is made, filled, shown, read and deleted', async () => {
    const answer = await api.call('POST', images, {
      body: {
        name: 'demo',
        disk_format: 'raw',
        container_format: 'bare',
        kernel_id: null,
        os_command_line: 'console=ttyS0',
        'owner_specified.openstack.md5': '',
      },
    });
    expect(answer.statusCode).toBe(201);
    const image = answer.json();
    expect(answer.headers['location']).toBe(`http://localhost:80/image/v2/images/${image.id}`);
    expect(image).toMatchObject({
      status: 'queued',
      visibility: 'shared',
      owner: api.admin.projectId,
      os_command_line: 'console=ttyS0',
      size: null,
    });
    expect((await api.call('GET', `${images}/${image.id}/file`)).statusCode).toBe(204);
    const data = Buffer.alloc(3_000_000, 'godwit');
    expect((await put(image.id, data)).statusCode).toBe(204);
    const shown = (await api.call('GET', `${images}/${image.id}`)).json();
    expect(shown).toMatchObject({
      status: 'active',
      size: data.length,
      checksum: createHash('md5').update(data).digest('hex'),
      os_hash_algo: 'sha512',
    });
    const read = await api.call('GET', `${images}/${image.id}/file`);
    expect([read.statusCode, read.headers['content-length'], read.rawPayload.equals(data)]).toEqual([200, String(data.length), true]);
    expect((await put(image.id, data)).statusCode).toBe(409);
    expect((await api.call('DELETE', `${images}/${image.id}`)).statusCode).toBe(204);
    expect((await api.call('GET', `${images}/${image.id}`)).statusCode).toBe(404);
    expect((await api.call('DELETE', `${images}/${image.id}`)).statusCode).toBe(404);
    expect((await readdir(imageDir)).filter((name) => name !== 'incoming')).toEqual([]);
  });

  it('refuses bad input with a code and changes nothing', async () => {
    const { id } = await create();
    const cases: [number, Promise<{ statusCode: number }>][] = [
      [400, api.call('POST', images, { body: { disk_format: 'vmdk' } })],
      [400, api.call('POST', images, { body: { name: 5 } })],
      [403, api.call('POST', images, { body: { status: 'active' } })],
      [400, api.call('POST', images, { body: { x: { y: 1 } } })],
      [400, api.call('POST', images, { body: { kernel_id: 'vmlinuz' } })],
      [409, api.call('POST', images, { body: { id } })],
      [
        400,
        api.app.inject({
          method: 'POST',
          url: images,
          headers: { 'x-auth-token': api.admin.token, 'content-type': 'application/json' },
          payload: '{',
        }),
      ],
      [
        415,
        api.app.inject({
          method: 'POST',
          url: images,
          headers: { 'x-auth-token': api.admin.token, 'content-type': 'text/plain' },
          payload: '{}',
        }),
      ],
      [415, put(id, 'x', { headers: { 'content-type': 'application/json' } })],
      [404, put('demo', 'x')],
      [404, api.call('GET', `${images}/demo`)],
      [400, patch(id, [{ op: 'replace', path: '/visibility', value: 'none' }])],
      [403, patch(id, [{ op: 'replace', path: '/size', value: 1 }])],
      [405, api.call('PUT', images)],
      [415, api.call('PATCH', `${images}/${id}`, { body: [] })],
      [400, api.call('GET', `${images}?limit=-1`)],
      [400, api.call('GET', `${images}?marker=x`)],
      [400, api.call('GET', `${images}?sort_key=secret`)],
      [400, api.call('GET', `${images}?visibility=x`)],
      [400, api.call('GET', `${images}?created_at=gt:x`)],
      [400, api.call('GET', `${images}?sort=name:up`)],
    ];
    for (const [index, [status, answer]] of cases.entries()) expect([index, (await answer).statusCode]).toEqual([index, status]);
    expect(await names('')).toEqual(['i']);
    expect((await api.call('GET', `${images}/${id}`)).json()).toMatchObject({ status: 'queued', visibility: 'shared' });
  });

  it('is half-registered in no way when the client goes away in the middle', async () => {
    const { id } = await create();
    await api.app.listen({ port: 0, host: '127.0.0.1' });
    const { port } = api.app.server.address() as AddressInfo;
    for (const framing of [`content-length: 1000`, 'transfer-encoding: chunked']) {
      const socket = connect(port, '127.0.0.1');
      socket.write(
        `PUT ${images}/${id}/file HTTP/1.1\r\nhost: x\r\nx-auth-token: ${api.admin.token}\r\ncontent-type: application/octet-stream\r\n${framing}\r\n\r\n3\r\nabc\r\n`,
      );
      await expect.poll(async () => (await api.call('GET', `${images}/${id}`)).json().status, { timeout: 10_000 }).toBe('saving');
      socket.destroy();
      await expect.poll(async () => (await api.call('GET', `${images}/${id}`)).json().status, { timeout: 10_000 }).toBe('queued');
    }
    expect((await readdir(imageDir, { recursive: true })).filter((name) => name !== 'incoming')).toEqual([]);
    expect((await put(id, 'whole')).statusCode).toBe(204);
  });

  it('protected is not deleted', async () => {
    const { id } = await create({ protected: true });
    expect((await api.call('DELETE', `${images}/${id}`)).statusCode).toBe(403);
    expect(
      (
        await patch(id, [
          { op: 'replace', path: '/protected', value: false },
          { op: 'add', path: '/os_version', value: '12' },
        ])
      ).json(),
    ).toMatchObject({ protected: false, os_version: '12' });
    expect((await api.call('DELETE', `${images}/${id}`)).statusCode).toBe(204);
  });

  it('keeps its format once it has data, can be deactivated, tagged', async () => {
    const { id } = await create();
    await put(id, 'x');
    expect((await patch(id, [{ op: 'replace', path: '/disk_format', value: 'qcow2' }])).statusCode).toBe(403);
    expect((await api.call('PUT', `${images}/${id}/tags/blue`)).statusCode).toBe(204);
    expect(await names('tag=blue')).toEqual(['i']);
    expect((await api.call('DELETE', `${images}/${id}/tags/red`)).statusCode).toBe(404);
    expect((await api.call('POST', `${images}/${id}/actions/deactivate`)).statusCode).toBe(204);
    expect((await api.call('GET', `${images}/${id}`)).json()).toMatchObject({ status: 'deactivated', tags: ['blue'] });
  });
});

describe('who sees what', () => {
  it('own, public, shared and community images', async () => {
    const [alice, bob, reader] = [await api.user('member'), await api.user('member'), await api.user('reader')];
    const own = await create({ name: 'own', visibility: 'private' }, alice);
    const shared = await create({ name: 'shared' }, alice);
    await create({ name: 'public', visibility: 'public' });
    const community = await create({ name: 'community', visibility: 'community' }, alice);
    const hidden = await create({ name: 'hidden', os_hidden: true }, alice);
    expect((await names('', alice)).toSorted()).toEqual(['community', 'own', 'public', 'shared']);
    expect(await names('', bob)).toEqual(['public']);
    expect(await names('visibility=community', bob)).toEqual(['community']);
    expect(await names('os_hidden=true', alice)).toEqual(['hidden']);
    for (const [id, status] of [
      [own.id, 404],
      [shared.id, 404],
      [community.id, 200],
      [hidden.id, 404],
    ])
      expect((await api.call('GET', `${images}/${id}`, { as: bob })).statusCode).toBe(status);
    expect((await api.call('POST', `${images}/${shared.id}/members`, { as: alice, body: { member: bob.projectId } })).statusCode).toBe(200);
    expect((await api.call('POST', `${images}/${shared.id}/members`, { as: alice, body: { member: bob.projectId } })).statusCode).toBe(409);
    expect((await api.call('GET', `${images}/${shared.id}`, { as: bob })).statusCode).toBe(200);
    expect(await names('', bob)).toEqual(['public']);
    expect(await names('member_status=pending', bob)).toEqual(expect.arrayContaining(['shared']));
    expect(
      (await api.call('PUT', `${images}/${shared.id}/members/${bob.projectId}`, { as: alice, body: { status: 'accepted' } })).statusCode,
    ).toBe(403);
    expect(
      (await api.call('PUT', `${images}/${shared.id}/members/${bob.projectId}`, { as: bob, body: { status: 'accepted' } })).statusCode,
    ).toBe(200);
    expect((await names('', bob)).toSorted()).toEqual(['public', 'shared']);
    expect((await api.call('DELETE', `${images}/${shared.id}`, { as: bob })).statusCode).toBe(403);
    expect((await patch(shared.id, [{ op: 'replace', path: '/name', value: 'mine' }], bob)).statusCode).toBe(403);
    expect((await put(shared.id, 'x', { as: bob })).statusCode).toBe(403);
    expect((await api.call('DELETE', `${images}/${shared.id}/members/${bob.projectId}`, { as: alice })).statusCode).toBe(204);
    expect((await api.call('GET', `${images}/${shared.id}`, { as: bob })).statusCode).toBe(404);
    expect((await api.call('POST', images, { as: alice, body: { visibility: 'public' } })).statusCode).toBe(403);
    expect((await patch(own.id, [{ op: 'replace', path: '/visibility', value: 'public' }], alice)).statusCode).toBe(403);
    expect((await api.call('POST', images, { as: reader, body: {} })).statusCode).toBe(403);
  });
});

describe('lists', () => {
  it('pages through everything once, in every order', async () => {
    for (const [index, name] of ['c', 'a', 'b', 'e', 'd'].entries()) {
      const { id } = await create({ name, min_disk: index % 2 });
      if (index % 2 === 0) await put(id, name.repeat(index + 1));
    }
    for (const [order, expected] of [
      ['sort=name:asc', 'a,b,c,d,e'],
      ['sort_key=name&sort_dir=desc', 'e,d,c,b,a'],
      ['sort=size:asc,name:asc', 'a,e,c,b,d'],
      ['sort=size:desc,name:asc', 'd,b,c,a,e'],
      ['', 'd,e,b,a,c'],
    ] as const) {
      const seen: string[] = [];
      let next: string | undefined = `/v2/images?limit=2${order === '' ? '' : `&${order}`}`;
      while (next !== undefined) {
        const page: { images: { name: string }[]; next?: string } = (await api.call('GET', `/image${next}`)).json();
        seen.push(...page.images.map((image) => image.name));
        next = page.next;
      }
      expect(seen.join(',')).toBe(expected);
    }
    expect((await names('name=in:a,%22b%22')).toSorted()).toEqual(['a', 'b']);
    expect(await names('status=queued&sort=name:asc')).toEqual(['a', 'e']);
    expect(await names('size_min=3&size_max=4')).toEqual(['b']);
    expect(await names('created_at=gt:2100-01-01T00:00:00Z')).toEqual([]);
    expect(await names('os_distro=debian')).toEqual([]);
    expect(await names('limit=0')).toEqual([]);
  });
});

it('publishes its schemas', async () => {
  for (const name of ['image', 'images', 'member', 'members'])
    expect((await api.call('GET', `/image/v2/schemas/${name}`)).json().name).toBe(name);
});
