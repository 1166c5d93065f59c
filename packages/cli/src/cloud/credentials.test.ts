import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { CommandError } from '../command-error.ts';
import { readCredentials } from './credentials.ts';

const env = {
  OS_AUTH_URL: 'http://cloud/identity/v3/',
  OS_USERNAME: 'ada',
  OS_PASSWORD: 'secret',
  OS_PROJECT_NAME: 'lab',
  OS_USER_DOMAIN_NAME: 'Default',
  OS_PROJECT_DOMAIN_ID: 'default',
};

describe('credentials', () => {
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'godwit-cli-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));

  it('come from OS_* variables, as openrc sets them', async () => {
    expect(await readCredentials(new Map(), env)).toMatchObject({
      authUrl: 'http://cloud/identity/v3',
      method: { kind: 'password', user: { name: 'ada', domain: { name: 'Default' } }, password: 'secret' },
      project: { name: 'lab', domain: { id: 'default' } },
      computeApiVersion: '2.1',
      verifyTls: true,
    });
  });

  it('come from options before variables', async () => {
    const options = new Map([
      ['OS_USERNAME', 'eve'],
      ['OS_COMPUTE_API_VERSION', '2.87'],
    ]);
    expect(await readCredentials(options, env)).toMatchObject({ method: { user: { name: 'eve' } }, computeApiVersion: '2.87' });
  });

  it('come from clouds.yaml, with secure.yaml laid over it, before variables', async () => {
    await writeFile(
      join(dir, 'clouds.yaml'),
      'clouds:\n  lab:\n    region_name: one\n    verify: false\n    auth: {auth_url: "http://other/v3", username: bob, project_name: p}\n',
    );
    await writeFile(join(dir, 'secure.yaml'), 'clouds: {lab: {auth: {password: hidden}}}\n');
    const found = await readCredentials(new Map([['OS_CLOUD', 'lab']]), { ...env, OS_CLIENT_CONFIG_FILE: join(dir, 'clouds.yaml') });
    expect(found).toMatchObject({
      authUrl: 'http://other/v3',
      region: 'one',
      verifyTls: false,
      method: { user: { name: 'bob' }, password: 'hidden' },
    });
  });

  it.each([
    ['no address', { ...env, OS_AUTH_URL: undefined }, 'auth-url', 3],
    ['no password', { ...env, OS_PASSWORD: undefined }, 'password', 3],
    ['a version that is none', { ...env, OS_COMPUTE_API_VERSION: 'two' }, '"two"', 2],
  ])('are refused with %s, naming it', async (_, given, word, exitCode) => {
    const refused = readCredentials(new Map(), given);
    await expect(refused).rejects.toThrow(CommandError);
    await expect(refused).rejects.toMatchObject({ message: expect.stringContaining(word), exitCode });
  });

  it('name the places where a cloud was looked for', async () => {
    const refused = readCredentials(new Map([['OS_CLOUD', 'nosuch']]), { OS_CLIENT_CONFIG_FILE: join(dir, 'clouds.yaml') });
    await expect(refused).rejects.toMatchObject({
      message: 'Cloud nosuch was not found.',
      next: expect.stringContaining(dir),
      exitCode: 3,
    });
  });
});
