import { mkdtemp, readdir, readFile, rm, stat } from 'node:fs/promises';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { objectsAt } from '../json.ts';
import { Cloud } from './cloud.ts';
import type { Credentials } from './credentials.ts';
import { tokenCache } from './token-cache.ts';

describe('tokens of earlier commands', () => {
  let directory: string;
  let server: Server;
  let url: string;
  let signIns: number;
  /** Tokens that the cloud takes. */
  let valid: Set<string>;
  let lifetimeMs: number;
  beforeEach(async () => {
    directory = await mkdtemp(join(tmpdir(), 'godwit-tokens-'));
    [signIns, valid, lifetimeMs] = [0, new Set(), 3_600_000];
    server = createServer((request, response) => {
      response.setHeader('content-type', 'application/json');
      if (request.method === 'POST') {
        const token = `t${(signIns += 1)}`;
        valid.add(token);
        const catalog = [{ type: 'compute', endpoints: [{ interface: 'public', region: 'R', url: `${url}/compute` }] }];
        response.writeHead(201, { 'x-subject-token': token });
        response.end(
          JSON.stringify({ token: { expires_at: new Date(Date.now() + lifetimeMs).toISOString(), user: { id: 'u' }, roles: [], catalog } }),
        );
      } else {
        const known = valid.has(String(request.headers['x-auth-token']));
        response
          .writeHead(known ? 200 : 401)
          .end(JSON.stringify(known ? { servers: [{ id: 's' }] } : { error: { message: 'no', code: 401 } }));
      }
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(async () => {
    await new Promise((resolve) => server.close(resolve));
    await rm(directory, { recursive: true, force: true });
  });

  const credentials = (password = 'secret'): Credentials => ({
    authUrl: `${url}/identity/v3`,
    method: { kind: 'password', user: { name: 'u', domain: { id: 'default' } }, password },
    project: null,
    region: 'R',
    interface: 'public',
    computeApiVersion: '2.1',
    verifyTls: true,
    caFile: null,
  });
  const env = () => ({ XDG_RUNTIME_DIR: directory });
  const list = async (cloud: Cloud) => objectsAt(await (await cloud.compute()).get('/servers'), 'servers').length;

  it('spare the next command its sign-in, in a file that only its owner reads, found by the whole credentials', async () => {
    expect(await list(new Cloud(credentials(), tokenCache(env())))).toBe(1);
    expect(await list(new Cloud(credentials(), tokenCache(env())))).toBe(1);
    expect(signIns).toBe(1);
    const [file = ''] = await readdir(join(directory, 'godwit'));
    expect((await stat(join(directory, 'godwit', file))).mode & 0o777).toBe(0o600);
    expect((await stat(join(directory, 'godwit'))).mode & 0o777).toBe(0o700);
    expect(await readFile(join(directory, 'godwit', file), 'utf8')).not.toContain('secret');
    await list(new Cloud(credentials('another'), tokenCache(env())));
    expect(signIns).toBe(2);
  });

  it('are replaced once when the cloud refuses one, and only once', async () => {
    await list(new Cloud(credentials(), tokenCache(env())));
    valid.clear();
    expect(await list(new Cloud(credentials(), tokenCache(env())))).toBe(1);
    expect(signIns).toBe(2);
    const cloud = new Cloud(credentials(), tokenCache(env()));
    await cloud.freshToken();
    valid.clear();
    await expect(list(cloud)).rejects.toMatchObject({ status: 401 });
    expect(signIns).toBe(3);
  });

  it('are not kept when they end soon, when it is switched off, or without a home; `token issue` makes its own', async () => {
    lifetimeMs = 60_000;
    await list(new Cloud(credentials(), tokenCache(env())));
    await list(new Cloud(credentials(), tokenCache(env())));
    expect(signIns).toBe(2);
    expect(tokenCache({})).toBeNull();
    expect(tokenCache({ ...env(), GODWIT_TOKEN_CACHE: 'off' })).toBeNull();
    lifetimeMs = 3_600_000;
    await list(new Cloud(credentials(), tokenCache(env())));
    await new Cloud(credentials(), tokenCache(env())).freshToken();
    expect(signIns).toBe(4);
  });
});
