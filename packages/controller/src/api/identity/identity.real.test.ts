import { afterAll, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { bootstrapIdentity } from '../../auth/bootstrap.ts';
import { attemptLimits } from '../../auth/login-attempts.ts';
import { readToken } from '../../auth/tokens.ts';
import { openDatabase } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { startTestApi, type TestApi } from '../test-api.ts';

let server: TestServer;
let api: TestApi;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(async () => {
  await server.stop();
});
beforeEach(async () => {
  api = await startTestApi((await server.database()).db);
});

const tokens = '/identity/v3/auth/tokens';
const passwordAuth = (user: object, scope?: unknown) => ({
  auth: { identity: { methods: ['password'], password: { user } }, ...(scope === undefined ? {} : { scope }) },
});
const admin = (): object => ({ name: 'admin', domain: { name: 'Default' }, password: api.admin.password });

describe('discovery', () => {
  it('needs no token', async () => {
    const root = await api.call('GET', '/identity/', { as: null });
    expect(root.statusCode).toBe(300);
    expect(root.json().versions.values[0]).toMatchObject({
      id: 'v3.14',
      status: 'stable',
      links: [{ rel: 'self', href: 'http://localhost:80/identity/v3/' }],
    });
    for (const url of ['/identity', '/identity/v3', '/identity/v3/'])
      expect((await api.call('GET', url, { as: null })).statusCode).toBe(url === '/identity' ? 300 : 200);
  });
  it('links to where the client came from', async () => {
    const answer = await api.call('GET', '/identity/v3', {
      as: null,
      headers: { 'x-forwarded-proto': 'https', 'x-forwarded-host': 'cloud.example' },
    });
    expect(answer.json().version.links[0].href).toBe('https://cloud.example/identity/v3/');
  });
});

describe('tokens', () => {
  const scopes: readonly (readonly [string, () => unknown, 'project' | 'domain' | null])[] = [
    ['project by id', () => ({ project: { id: api.admin.projectId } }), 'project'],
    ['project by name, domain by name', () => ({ project: { name: 'admin', domain: { name: 'Default' } } }), 'project'],
    ['project by name, domain by id', () => ({ project: { name: 'admin', domain: { id: 'default' } } }), 'project'],
    ['domain', () => ({ domain: { id: 'default' } }), 'domain'],
    ['unscoped', () => 'unscoped', null],
    ['unscoped as an object', () => ({ unscoped: {} }), null],
    ['nothing said: the default project', () => undefined, 'project'],
  ];
  it.each(scopes)('by password, %s', async (_name, scope, key) => {
    const answer = await api.call('POST', tokens, { as: null, body: passwordAuth(admin(), scope()) });
    expect(answer.statusCode).toBe(201);
    const { token } = answer.json();
    expect(answer.headers['x-subject-token']).toBeTruthy();
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-/);
    expect('project' in token).toBe(key === 'project');
    expect('domain' in token).toBe(key === 'domain');
    if (key === null) expect(token.catalog).toBeUndefined();
    else
      expect(token.catalog.find((entry: { type: string }) => entry.type === 'compute').endpoints[0].url).toBe(
        'http://127.0.0.1:8774/compute/v2.1',
      );
    if (key === 'project') expect(token.roles.map((role: { name: string }) => role.name)).toEqual(['admin', 'member', 'reader']);
  });
  it('by user id', async () => {
    const answer = await api.call('POST', tokens, { as: null, body: passwordAuth({ id: api.admin.userId, password: api.admin.password }) });
    expect(answer.statusCode).toBe(201);
  });
  it('by token, and the new one does not live longer', async () => {
    const answer = await api.call('POST', tokens, {
      as: null,
      body: { auth: { identity: { methods: ['token'], token: { id: api.admin.token } }, scope: { domain: { id: 'default' } } } },
    });
    expect(answer.statusCode).toBe(201);
    const before = (await api.call('GET', tokens, { headers: { 'x-subject-token': api.admin.token } })).json().token;
    expect(answer.json().token.expires_at).toBe(before.expires_at);
    expect(answer.json().token.audit_ids.at(-1)).toBe(before.audit_ids[0]);
  });
  const wrong: readonly (readonly [string, () => object])[] = [
    ['wrong password', () => passwordAuth({ ...admin(), password: 'x' })],
    ['unknown user', () => passwordAuth({ ...admin(), name: 'nobody' })],
    ['unknown domain', () => passwordAuth({ ...admin(), domain: { id: 'nowhere' } })],
    ['no role in the project', () => passwordAuth(admin(), { project: { id: 'f'.repeat(32) } })],
    ['unknown project name', () => passwordAuth(admin(), { project: { name: 'x', domain: { id: 'default' } } })],
    ['forged token', () => ({ auth: { identity: { methods: ['token'], token: { id: `${api.admin.token}x` } } } })],
    ['unknown method', () => ({ auth: { identity: { methods: ['totp'] } } })],
  ];
  it.each(wrong)('401 for %s', async (_name, body) => {
    const answer = await api.call('POST', tokens, { as: null, body: body() });
    expect(answer.statusCode).toBe(401);
    expect(answer.json().error).toMatchObject({ code: 401, title: 'Unauthorized' });
    expect(answer.headers['www-authenticate']).toBe('Keystone uri="http://localhost:80/identity"');
  });
  it.each([
    [{}],
    [{ auth: {} }],
    [{ auth: { identity: { methods: ['password'] } } }],
    [[]],
    [{ auth: { identity: { methods: ['password'], password: { user: { name: 'admin', password: 'x' } } } } }],
  ])('400 for %j', async (body) => {
    const answer = await api.call('POST', tokens, { as: null, body });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().error.title).toBe('Bad Request');
  });
  it('survives a restart of the controller: a pool that knows no key yet takes it', async () => {
    const url = await server.url();
    const first = openDatabase({ url });
    const text = (await startTestApi(first.db)).admin.token;
    await first.close();
    const second = openDatabase({ url });
    expect((await readToken(second.db, text))?.user.name).toBe('admin');
    await second.close();
  });
  it('ends when revoked, with every token made from it', async () => {
    const child = (
      await api.call('POST', tokens, { as: null, body: { auth: { identity: { methods: ['token'], token: { id: api.admin.token } } } } })
    ).headers['x-subject-token'] as string;
    const other = await api.user('admin', api.admin.projectId);
    expect((await api.call('HEAD', tokens, { as: other, headers: { 'x-subject-token': child } })).statusCode).toBe(200);
    expect((await api.call('DELETE', tokens, { headers: { 'x-subject-token': api.admin.token } })).statusCode).toBe(204);
    expect((await api.call('GET', '/identity/v3/projects')).statusCode).toBe(401);
    for (const text of [api.admin.token, child])
      expect((await api.call('GET', tokens, { as: other, headers: { 'x-subject-token': text } })).statusCode).toBe(404);
  });
  it('ends when the user, the project or the role is gone, disabled or the password changed', async () => {
    const ends = async (change: (user: Awaited<ReturnType<TestApi['user']>>) => Promise<unknown>) => {
      const user = await api.user('member');
      expect((await api.call('GET', '/identity/v3/auth/projects', { as: user })).statusCode).toBe(200);
      await change(user);
      expect((await api.call('GET', '/identity/v3/auth/projects', { as: user })).statusCode).toBe(401);
    };
    await ends((user) => api.call('PATCH', `/identity/v3/users/${user.userId}`, { body: { user: { enabled: false } } }));
    await ends((user) => api.call('DELETE', `/identity/v3/users/${user.userId}`));
    await ends((user) => api.call('PATCH', `/identity/v3/projects/${user.projectId}`, { body: { project: { enabled: false } } }));
    await ends((user) =>
      api.call('POST', `/identity/v3/users/${user.userId}/password`, {
        as: user,
        body: { user: { password: 'another one', original_password: user.password } },
      }),
    );
    const member = (await api.call('GET', '/identity/v3/roles?name=member')).json().roles[0].id;
    await ends((user) => api.call('DELETE', `/identity/v3/projects/${user.projectId}/users/${user.userId}/roles/${member}`));
  });
  it('limits attempts, also many at once, and lets the right password in again afterwards', async () => {
    const user = await api.user('member');
    const attempt = (password: string) => api.call('POST', tokens, { as: null, body: passwordAuth({ id: user.userId, password }) });
    const answers = await Promise.all(Array.from({ length: attemptLimits.userAtAddress + 5 }, () => attempt('wrong')));
    expect(answers.filter((answer) => answer.statusCode === 401)).toHaveLength(attemptLimits.userAtAddress);
    const refused = await attempt(user.password);
    expect(refused.statusCode).toBe(429);
    expect(Number(refused.headers['retry-after'])).toBeGreaterThan(0);
    expect(refused.json().error.title).toBe('Too Many Requests');
    await api.context.db
      .updateTable('login_attempt')
      .set({ window_ends_at: new Date(Date.now() - 1000) })
      .execute();
    expect((await attempt(user.password)).statusCode).toBe(201);
  });
});

describe('resources', () => {
  it('makes a project, a user and a role there, as clients do', async () => {
    const project = await api.call('POST', '/identity/v3/projects', {
      body: { project: { name: 'p', description: 'd', domain_id: 'default', enabled: true } },
    });
    expect(project.statusCode).toBe(201);
    const user = await api.call('POST', '/identity/v3/users', {
      body: { user: { name: 'u', password: 'secret word', domain_id: 'default', enabled: true, email: 'u@example.org' } },
    });
    expect(user.statusCode).toBe(201);
    expect(JSON.stringify(user.json())).not.toContain('secret');
    const role = (await api.call('GET', '/identity/v3/roles?name=member')).json().roles[0].id;
    const grant = `/identity/v3/projects/${project.json().project.id}/users/${user.json().user.id}/roles/${role}`;
    expect((await api.call('HEAD', grant)).statusCode).toBe(404);
    expect((await api.call('PUT', grant)).statusCode).toBe(204);
    expect((await api.call('PUT', grant)).statusCode).toBe(204);
    expect((await api.call('HEAD', grant)).statusCode).toBe(204);
    const list = await api.call('GET', `/identity/v3/role_assignments?user.id=${user.json().user.id}&include_names`);
    expect(list.json().role_assignments).toMatchObject([
      { role: { name: 'member' }, user: { name: 'u' }, scope: { project: { name: 'p' } } },
    ]);
    const effective = await api.call(
      'GET',
      `/identity/v3/role_assignments?user.id=${user.json().user.id}&effective=true&include_names=true`,
    );
    expect(effective.json().role_assignments.map((entry: { role: { name: string } }) => entry.role.name)).toEqual(['member', 'reader']);
    const token = await api.call('POST', tokens, {
      as: null,
      body: passwordAuth(
        { name: 'u', domain: { id: 'default' }, password: 'secret word' },
        { project: { name: 'p', domain: { name: 'Default' } } },
      ),
    });
    expect(token.statusCode).toBe(201);
    expect((await api.call('DELETE', grant)).statusCode).toBe(204);
    expect((await api.call('DELETE', grant)).statusCode).toBe(404);
    expect((await api.call('DELETE', `/identity/v3/users/${user.json().user.id}`)).statusCode).toBe(204);
    expect((await api.call('DELETE', `/identity/v3/projects/${project.json().project.id}`)).statusCode).toBe(204);
    expect((await api.call('GET', `/identity/v3/projects/${project.json().project.id}`)).statusCode).toBe(404);
  });
  it('409 for a duplicate', async () => {
    for (const [url, body] of [
      ['/identity/v3/roles', { role: { name: 'member' } }],
      ['/identity/v3/projects', { project: { name: 'admin' } }],
      ['/identity/v3/users', { user: { name: 'admin', password: 'x' } }],
      ['/identity/v3/domains', { domain: { name: 'Default' } }],
    ] as const) {
      const answer = await api.call('POST', url, { body });
      expect([url, answer.statusCode]).toEqual([url, 409]);
    }
  });
  it('403 for who is no admin, with the rule named', async () => {
    const member = await api.user('member');
    const answer = await api.call('GET', '/identity/v3/projects', { as: member });
    expect(answer.statusCode).toBe(403);
    expect(answer.json().error.message).toBe('You are not authorized to perform the requested action: identity:list_projects.');
    expect((await api.call('GET', `/identity/v3/users/${api.admin.userId}`, { as: member })).statusCode).toBe(403);
    expect((await api.call('GET', `/identity/v3/users/${member.userId}`, { as: member })).statusCode).toBe(200);
    expect((await api.call('GET', `/identity/v3/projects/${member.projectId}`, { as: member })).statusCode).toBe(200);
  });
  it('says what it could not find', async () => {
    for (const what of ['project', 'user', 'role', 'domain']) {
      const answer = await api.call('GET', `/identity/v3/${what}s/nothing`);
      expect(answer.statusCode).toBe(404);
      expect(answer.json().error.message).toBe(`Could not find ${what}: nothing.`);
    }
  });
  it('refuses what no database could hold', async () => {
    expect((await api.call('POST', '/identity/v3/projects', { body: { project: { name: 'a\0b' } } })).statusCode).toBe(400);
    expect((await api.call('GET', '/identity/v3/projects?name=%00')).statusCode).toBe(400);
    expect(
      (await api.call('POST', '/identity/v3/projects', { headers: { 'content-type': 'text/plain' }, body: Buffer.from('x') })).statusCode,
    ).toBe(415);
    expect(api.unexpected).toEqual([]);
  });
  it('bootstraps once', async () => {
    expect(await bootstrapIdentity(api.context.db)).toEqual({ created: false });
  });
});
