import { mkdir, mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { gzipSync } from 'node:zlib';
import Fastify, { type FastifyInstance } from 'fastify';
import { afterEach, beforeEach, expect, it } from 'vitest';
import { serveDashboard } from './dashboard-files.ts';

let directory: string;
let app: FastifyInstance;
beforeEach(async () => {
  directory = await mkdtemp(path.join(tmpdir(), 'gwdash-'));
  app = Fastify();
  serveDashboard(app, { directory, apiPrefixes: ['/compute', '/godwit'], placeholder: 'not built' });
});
afterEach(async () => {
  await app.close();
  await rm(directory, { recursive: true, force: true });
});

const build = async (): Promise<void> => {
  await mkdir(path.join(directory, 'assets'));
  await writeFile(path.join(directory, 'index.html'), '<p>page</p>');
  await writeFile(path.join(directory, 'assets', 'main-abc.js'), 'const a = 1;');
  await writeFile(path.join(directory, 'assets', 'main-abc.js.gz'), gzipSync('const a = 1;'));
  await writeFile(path.join(directory, 'secret.js'), 'hidden');
};
const get = async (url: string, headers: Record<string, string> = { accept: 'text/html' }) => app.inject({ method: 'GET', url, headers });

it('shows the placeholder until there is a build, and the build then', async () => {
  expect((await get('/')).body).toBe('not built');
  await build();
  expect((await get('/')).body).toBe('<p>page</p>');
});

it('opens every page by its URL, and no API path', async () => {
  await build();
  const page = await get('/admin/instances?host=node1');
  expect([page.statusCode, page.body, page.headers['cache-control']]).toEqual([200, '<p>page</p>', 'no-cache']);
  for (const url of ['/compute', '/compute/v2.1/nothing', '/godwit/v1/nothing', '/assets/gone.js'])
    expect([url, (await get(url)).statusCode]).toEqual([url, 404]);
  expect((await get('/admin/instances', { accept: 'application/json' })).statusCode).toBe(404);
  expect((await app.inject({ method: 'POST', url: '/admin/instances', headers: { accept: 'text/html' } })).statusCode).toBe(404);
});

it('serves assets for ever, gzipped to those who take it, and nothing outside', async () => {
  await build();
  const plain = await get('/assets/main-abc.js', {});
  expect([plain.body, plain.headers['content-encoding'], plain.headers['cache-control']]).toEqual([
    'const a = 1;',
    undefined,
    'public, max-age=31536000, immutable',
  ]);
  const zipped = await get('/assets/main-abc.js', { 'accept-encoding': 'br, gzip' });
  expect([zipped.headers['content-encoding'], zipped.rawPayload]).toEqual(['gzip', gzipSync('const a = 1;')]);
  for (const url of ['/assets/..%2Fsecret.js', '/assets/%2e%2e/secret.js', '/assets/.hidden.js', '/assets/main-abc.js.gz'])
    expect([url, (await get(url, {})).statusCode]).toEqual([url, 404]);
});
