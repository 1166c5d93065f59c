import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { request } from 'node:http';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Lab, labUp } from './lab-harness.ts';

const run = promisify(execFile);

type Server = {
  readonly id: string;
  readonly status: string;
  readonly 'OS-EXT-SRV-ATTR:host': string;
  readonly 'OS-EXT-STS:task_state': string | null;
};
type Answer = { readonly status: number; readonly text: string };

/** What a careless or curious caller sends. Each is refused with the contract's code and words, and nothing has changed. */
describe('bad input through the API', () => {
  let lab: Lab;
  let scratch: string;
  /** The member's own guest. */
  let guest: Server;
  let metal: Server;
  let member: string;
  let admin: string;
  beforeAll(async () => {
    scratch = await mkdtemp(path.join(tmpdir(), 'gwbad-'));
    lab = await labUp(2);
    await lab.openstack('server create --image godwit-demo --flavor demo.tiny --network demo --wait own', { as: 'demo' });
    const { id } = await lab.openstackJson<{ readonly id: string }>('server show own', { as: 'demo' });
    admin = await lab.openstack('token issue -f value -c id');
    member = await lab.openstack('token issue -f value -c id', { as: 'demo' });
    guest = await show(id);
    const [found] = await lab.openstackJson<{ readonly ID: string }[]>('server list --all-projects --name metal-demo');
    metal = await show(found?.ID ?? '');
  }, 240_000);
  afterAll(async () => {
    await lab?.down();
    await rm(scratch, { recursive: true, force: true });
  }, 90_000);

  async function call(
    method: string,
    url: string,
    token: string,
    body?: string,
    headers: Readonly<Record<string, string>> = {},
  ): Promise<Answer> {
    const response = await fetch(`${lab.url}${url}`, {
      method,
      headers: { 'X-Auth-Token': token, 'Content-Type': 'application/json', 'OpenStack-API-Version': 'compute 2.87', ...headers },
      ...(body === undefined ? {} : { body }),
    });
    return { status: response.status, text: await response.text() };
  }
  const act = (id: string, body: object | string, token = admin, headers: Readonly<Record<string, string>> = {}) =>
    call('POST', `/compute/v2.1/servers/${id}/action`, token, typeof body === 'string' ? body : JSON.stringify(body), headers);
  const show = async (id: string): Promise<Server> =>
    (JSON.parse((await call('GET', `/compute/v2.1/servers/${id}`, admin)).text) as { readonly server: Server }).server;
  const moves = async (id: string) =>
    (
      JSON.parse((await call('GET', `/godwit/v1/migrations?server=${id}`, admin)).text) as {
        readonly migrations: readonly { readonly status: string; readonly outcome: unknown }[];
      }
    ).migrations;
  const live = (host: string | null) => ({ 'os-migrateLive': { host, block_migration: 'auto' } });

  for (const [what, ask, status, words] of [
    ['a host that does not exist', () => act(guest.id, live('nowhere')), 400, 'nowhere'],
    ['a bare-metal host as the target', () => act(guest.id, live('metal1')), 400, 'metal1'],
    ['a live migration of a bare-metal instance', () => act(metal.id, live(null)), 409, 'bare metal instances cannot be migrated'],
    ['a cold migration of a bare-metal instance', () => act(metal.id, { migrate: null }), 409, 'bare metal instances cannot be migrated'],
    ['a live migration by a plain member', () => act(guest.id, live(null), member), 403, "Policy doesn't allow"],
    ['somebody else’s server, to a member', () => act(metal.id, { 'os-stop': null }, member), 404, 'could not be found'],
    ['a body that is not JSON', () => act(guest.id, '{"os-migrateLive": '), 400, 'alformed'],
    ['a body of the wrong shape', () => act(guest.id, { 'os-migrateLive': { host: 5, block_migration: 'auto' } }), 400, 'host'],
    ['a microversion that is not there', () => act(guest.id, live(null), admin, { 'OpenStack-API-Version': 'compute 2.999' }), 406, '2.93'],
    ['a microversion that is none', () => act(guest.id, live(null), admin, { 'OpenStack-API-Version': 'compute new' }), 400, 'new'],
    [
      'a move to where it is, before 2.34',
      () =>
        act(guest.id, { 'os-migrateLive': { host: guest['OS-EXT-SRV-ATTR:host'], block_migration: 'auto', force: false } }, admin, {
          'OpenStack-API-Version': 'compute 2.30',
        }),
      400,
      'host',
    ],
    [
      'a live migration that asks for post-copy',
      () => call('POST', `/godwit/v1/servers/${guest.id}/live-migrations`, admin, JSON.stringify({ policy: { postCopyAllowed: true } })),
      400,
      '"PostCopyUnsafe"',
    ],
    ['starting what runs', () => act(guest.id, { 'os-start': null }), 409, "Cannot 'start' instance"],
  ] as const) {
    it(`${what}: ${status}, and nothing has changed`, async () => {
      const before = [await show(guest.id), await show(metal.id)];
      const answer = await ask();
      expect(answer.text).toContain(words);
      expect(answer.status).toBe(status);
      expect([await show(guest.id), await show(metal.id)]).toEqual(before);
      expect(await moves(guest.id)).toEqual([]);
      expect(await moves(metal.id)).toEqual([]);
    });
  }

  const images = async () =>
    (
      JSON.parse((await call('GET', '/image/v2/images', admin)).text) as {
        readonly images: readonly { readonly id: string; readonly status: string; readonly size: number | null }[];
      }
    ).images;

  it('an image that names a file outside the store is refused with the reason, and never becomes active', async () => {
    const file = path.join(scratch, 'spy.qcow2');
    await run('qemu-img', ['create', '-q', '-f', 'qcow2', '-u', '-b', '/etc/passwd', '-F', 'raw', file, '1M']);
    const before = (await images()).length;
    await expect(lab.openstack(`image create --disk-format qcow2 --container-format bare --file ${file} spy`)).rejects.toThrow(
      /backing file/,
    );
    const left = (await images()).filter(({ size }) => size === null);
    // The client makes the record first; without data it is an empty one, which the client removes or leaves queued.
    expect((await images()).length - before).toBe(left.length);
    for (const { id, status } of left) {
      expect(status).toBe('queued');
      await lab.openstack(`image delete ${id}`);
    }
  });

  it('an upload that is cut off leaves an image without data that can be filled afterwards', async () => {
    const made = await call(
      'POST',
      '/image/v2/images',
      admin,
      JSON.stringify({ name: 'cut', disk_format: 'raw', container_format: 'bare' }),
    );
    const { id } = JSON.parse(made.text) as { readonly id: string };
    const image = async () => (await images()).find((one) => one.id === id);
    const upload = request(`${lab.url}/image/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { 'X-Auth-Token': admin, 'Content-Type': 'application/octet-stream', 'Content-Length': String(1 << 20) },
    });
    upload.on('error', () => {});
    upload.write(Buffer.alloc(1 << 16));
    await eventually(image, (one) => one?.status === 'saving', 30_000);
    upload.destroy();
    await eventually(image, (one) => one?.status === 'queued', 30_000);
    expect(await image()).toMatchObject({ status: 'queued', size: null });
    const filled = await fetch(`${lab.url}/image/v2/images/${id}/file`, {
      method: 'PUT',
      headers: { 'X-Auth-Token': admin, 'Content-Type': 'application/octet-stream' },
      body: new Uint8Array(1 << 16),
    });
    expect(filled.status).toBe(204);
    expect(await image()).toMatchObject({ status: 'active', size: 1 << 16 });
  });
});
