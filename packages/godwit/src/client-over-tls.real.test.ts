import { execFile } from 'node:child_process';
import { randomUUID } from 'node:crypto';
import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join, resolve } from 'node:path';
import { promisify } from 'node:util';
import { type OpenstackClient, startOpenstackClient } from '@godwit/contract/testing/openstack-client';
import { portOfOurOwn } from '@godwit/contract/testing/port-of-our-own';
import { bootstrapIdentity } from '@godwit/controller/auth/bootstrap';
import { createAuthority, issueForNewKey } from '@godwit/controller/auth/issue-certificate';
import { loadConfig } from '@godwit/controller/config/load-config';
import { type Controller, startController } from '@godwit/controller/controller';
import { createLog } from '@godwit/controller/log';
import { openDatabase } from '@godwit/controller/store/database';
import { startTestServer, type TestServer } from '@godwit/controller/store/test-database';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';

const run = promisify(execFile);
const HOUR_MS = 3_600_000;
const godwit = resolve(import.meta.dirname, '../../../bin/godwit');

interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** The commands, as an operator starts them, against a controller that serves TLS by a certificate of one's own authority. */
describe('a client of a cloud behind TLS', () => {
  let directory: string;
  let server: TestServer;
  let controller: Controller;
  let openstack: OpenstackClient;
  let origin: string;
  let signIn: Record<string, string>;
  const path = (name: string): string => join(directory, name);

  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'gw-tls-'));
    openstack = startOpenstackClient(directory);
    server = await startTestServer();
    const [ours, another] = await Promise.all([createAuthority(HOUR_MS), createAuthority(HOUR_MS)]);
    await writeFile(path('ours.ca'), ours.certificatePem);
    await writeFile(path('another.ca'), another.certificatePem);
    const issued = await issueForNewKey(ours, 'godwit://test/localhost', ['localhost'], HOUR_MS);
    await writeFile(path('localhost.crt'), issued.certificatePem);
    await writeFile(path('localhost.key'), issued.privateKeyPem);
    const port = await portOfOurOwn();
    origin = `https://localhost:${port}`;
    const databaseUrl = await server.url();
    const settings = {
      stateDir: directory,
      databaseUrl,
      listen: { address: '127.0.0.1', port },
      publicUrl: origin,
      agentListen: { address: '127.0.0.1', port: 0, names: ['127.0.0.1'] },
      tls: { certificate: path('localhost.crt'), key: path('localhost.key') },
    };
    await writeFile(path('controller.yaml'), JSON.stringify(settings));
    const database = openDatabase({ url: databaseUrl });
    const made = await bootstrapIdentity(database.db);
    await database.close();
    if (!made.created) throw new Error('the test database is not fresh');
    controller = await startController(await loadConfig(path('controller.yaml'), {}), createLog('error'));
    signIn = {
      OS_AUTH_URL: `${origin}/identity/v3`,
      OS_USERNAME: made.userName,
      OS_PASSWORD: made.password,
      OS_PROJECT_NAME: made.projectName,
      OS_USER_DOMAIN_NAME: 'Default',
      OS_PROJECT_DOMAIN_NAME: 'Default',
      OS_IDENTITY_API_VERSION: '3',
    };
  }, 60_000);
  afterAll(async () => {
    openstack?.stop();
    await controller?.stop();
    await server?.stop();
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  const cli = async (commandLine: string, over: Readonly<Record<string, string>> = {}): Promise<Ran> => {
    const env = { PATH: process.env['PATH'] ?? '', HOME: directory, GODWIT_TOKEN_CACHE: 'off', ...signIn, ...over };
    try {
      const { stdout, stderr } = await run(godwit, commandLine.split(' '), { env, timeout: 60_000 });
      return { code: 0, out: stdout, err: stderr };
    } catch (error) {
      const failed = error as { readonly code?: number; readonly stdout?: string; readonly stderr?: string };
      return { code: failed.code ?? -1, out: failed.stdout ?? '', err: failed.stderr ?? '' };
    }
  };

  it('signs in, lists, uploads and downloads by the authority of OS_CACERT, as the openstack command does', async () => {
    const trusting = { OS_CACERT: path('ours.ca') };
    const catalog = await cli('catalog list -f json', trusting);
    expect(catalog).toMatchObject({ code: 0, err: '' });
    expect(catalog.out).not.toContain('http://');
    expect(JSON.parse(catalog.out)).toEqual(JSON.parse(await openstack.run('catalog list -f json', { ...signIn, ...trusting })));
    const data = randomUUID().repeat(40_000);
    await writeFile(path('data'), data);
    expect(await cli(`image create --file ${path('data')} --disk-format raw --container-format bare data`, trusting)).toMatchObject({
      code: 0,
      err: '',
    });
    expect(await cli(`image save --file ${path('saved')} data`, trusting)).toEqual({ code: 0, out: '', err: '' });
    expect((await readFile(path('saved'), 'utf8')) === data).toBe(true);
  }, 60_000);

  it('takes the authority from the option and from clouds.yaml, and none with verify: false or --insecure', async () => {
    const { OS_AUTH_URL: auth_url, OS_USERNAME: username, OS_PASSWORD: password, OS_PROJECT_NAME: project_name } = signIn;
    const auth = { auth_url, username, password, project_name, user_domain_name: 'Default', project_domain_name: 'Default' };
    const clouds = { trusting: { auth, cacert: '~/ours.ca' }, careless: { auth, verify: false }, doubting: { auth } };
    await writeFile(path('clouds.yaml'), JSON.stringify({ clouds }));
    const none = { ...Object.fromEntries(Object.keys(signIn).map((name) => [name, ''])), OS_CLIENT_CONFIG_FILE: path('clouds.yaml') };
    const answers = await Promise.all([
      cli(`server list -f value --os-cacert ${path('ours.ca')}`),
      cli('server list -f value --insecure'),
      cli('--os-cloud trusting server list -f value', none),
      cli('--os-cloud careless server list -f value', none),
      cli('--os-cloud doubting server list -f value --insecure', none),
    ]);
    // Also without a warning of Node's.
    for (const answer of answers) expect(answer).toEqual({ code: 0, out: '', err: '' });
    expect(await cli('--os-cloud doubting server list', none)).toMatchObject({ code: 3, out: '' });
  }, 60_000);

  it('is told in one sentence what is wrong with the certificate, and what to do', async () => {
    const [nobody, wrong, name, garbage, missing] = await Promise.all([
      cli('server list'),
      cli('server list', { OS_CACERT: path('another.ca') }),
      cli('server list', { OS_CACERT: path('ours.ca'), OS_AUTH_URL: `${origin.replace('localhost', '127.0.0.1')}/identity/v3` }),
      cli('server list', { OS_CACERT: path('controller.yaml') }),
      cli('server list', { OS_CACERT: path('none.ca') }),
    ]);
    const remedy =
      'Name the PEM file of its authority: OS_CACERT, --os-cacert, or cacert of clouds.yaml. --insecure trusts whoever answers.\n';
    expect(nobody.code).toBe(3);
    expect(nobody.err).toMatch(
      /^The certificate of https:\/\/localhost:\d+ is signed by nobody that is trusted here: only the authorities /,
    );
    expect(nobody.err.endsWith(remedy)).toBe(true);
    expect(wrong.code).toBe(3);
    expect(wrong.err).toContain(`is trusted here: neither by ${path('another.ca')} nor by an authority of the system`);
    expect(wrong.err.endsWith(remedy)).toBe(true);
    expect(name.code).toBe(3);
    expect(name.err).toMatch(/^The certificate of https:\/\/127\.0\.0\.1:\d+ is for another name: .*\nUse a name that it is made out to/);
    expect(garbage).toMatchObject({ code: 2, err: expect.stringContaining('controller.yaml is no file of certificates in PEM: ') });
    expect(missing).toMatchObject({ code: 2, err: expect.stringContaining('ENOENT') });
    for (const { err } of [nobody, wrong, name, garbage, missing]) expect(err.split('\n')).toHaveLength(3);
  }, 60_000);
});
