import { randomUUID } from 'node:crypto';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { defaultGroup } from '../../networks/security-groups.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { computeMicroversions } from '../microversion.ts';
import type { TestUser } from '../test-api.ts';
import { removedRoutes } from './removed.ts';
import { type ComputeRoute, variantAt } from './route.ts';
import { computeRoutes } from './routes.ts';
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

describe('discovery', () => {
  it.each(['/compute', '/compute/'])('%s lists the versions without a token', async (url) => {
    const answer = await cloud.call('GET', url, { as: null });
    expect(answer.statusCode).toBe(200);
    expect(answer.json().versions.map((version: { id: string }) => version.id)).toEqual(['v2.0', 'v2.1']);
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-[0-9a-f-]{36}$/);
  });
  it.each(['/compute/v2.1', '/compute/v2.1/'])('%s is the version document without a token', async (url) => {
    const answer = await cloud.call('GET', url, { as: null, headers: { host: '192.0.2.7:8774' } });
    expect(answer.json().version).toMatchObject({
      id: 'v2.1',
      status: 'CURRENT',
      version: '2.93',
      min_version: '2.1',
      links: [{ rel: 'self', href: 'http://192.0.2.7:8774/compute/v2.1/' }, {}],
    });
  });
});

describe('every answer', () => {
  const cases: readonly (readonly [string, () => Promise<{ statusCode: number; headers: Record<string, unknown> }>, number])[] = [
    ['200', () => cloud.call('GET', `${base}/servers`, { microversion: '2.53' }), 200],
    ['401', () => cloud.call('GET', `${base}/servers`, { as: null, microversion: '2.53' }), 401],
    ['404', () => cloud.call('GET', `${base}/servers/${randomUUID()}`, { microversion: '2.53' }), 404],
    ['406', () => cloud.call('GET', `${base}/servers`, { microversion: '2.99' }), 406],
    ['413', () => cloud.call('POST', `${base}/servers`, { microversion: '2.53', body: { server: { name: 'x'.repeat(2_000_000) } } }), 413],
  ];
  it.each(cases)('carries the request id, also a %s', async (_name, ask, status) => {
    const answer = await ask();
    expect(answer.statusCode).toBe(status);
    expect(answer.headers['x-openstack-request-id']).toMatch(/^req-[0-9a-f-]{36}$/);
    expect(answer.headers['x-compute-request-id']).toBe(answer.headers['x-openstack-request-id']);
  });
  it('echoes the resolved version in both headers and varies by them', async () => {
    for (const [asked, resolved] of [
      ['2.53', '2.53'],
      ['latest', '2.93'],
      ['2.1', '2.1'],
    ] as const) {
      const answer = await cloud.call('GET', `${base}/servers`, { microversion: asked });
      expect(answer.headers['openstack-api-version']).toBe(`compute ${resolved}`);
      expect(answer.headers['x-openstack-nova-api-version']).toBe(resolved);
      expect(answer.headers['vary']).toBe('OpenStack-API-Version, X-OpenStack-Nova-API-Version');
    }
    expect((await cloud.call('GET', `${base}/servers`)).headers['x-openstack-nova-api-version']).toBe('2.1');
  });
});

describe('the order of refusals', () => {
  it('401 in identity’s shape before everything', async () => {
    const answer = await cloud.call('POST', `${base}/nothing`, { as: null, microversion: 'x', body: {} });
    expect(answer.statusCode).toBe(401);
    expect(answer.json().error).toMatchObject({ code: 401, title: 'Unauthorized' });
    expect(answer.headers['www-authenticate']).toContain('Keystone uri=');
  });
  it('406 echoes the version asked for, before the route is looked at', async () => {
    const answer = await cloud.call('GET', `${base}/nothing`, { microversion: '2.94' });
    expect(answer.statusCode).toBe(406);
    expect(answer.json()).toEqual({
      computeFault: { code: 406, message: 'Version 2.94 is not supported by the API. Minimum is 2.1 and maximum is 2.93.' },
    });
    expect(answer.headers['openstack-api-version']).toBe('compute 2.94');
  });
  it('400 for a version that is none', async () => {
    const answer = await cloud.call('GET', `${base}/servers`, { microversion: 'two' });
    expect(answer.statusCode).toBe(400);
    expect(answer.json().badRequest.message).toContain('invalid format');
  });
  it('404 for an unknown path, 405 for an unknown method', async () => {
    expect((await cloud.call('GET', `${base}/nothing`)).json()).toEqual({
      itemNotFound: { code: 404, message: 'The resource could not be found.' },
    });
    const wrong = await cloud.call('PUT', `${base}/servers`);
    expect([wrong.statusCode, Object.keys(wrong.json())[0], wrong.headers['allow']]).toEqual([405, 'badMethod', 'GET, POST']);
  });
  it('404 for a route outside its versions', async () => {
    const id = await cloud.server(member);
    for (const [method, path, below, from] of [
      ['GET', `/servers/${id}/migrations`, '2.22', '2.23'],
      ['DELETE', `/servers/${id}/migrations/1`, '2.23', '2.24'],
      ['POST', `/servers/${id}/migrations/1/action`, '2.21', '2.22'],
      ['GET', `/servers/${id}/tags`, '2.25', '2.26'],
      ['PUT', '/flavors/f1', '2.54', '2.55'],
    ] as const) {
      const absent = await cloud.call(method, base + path, {
        microversion: below,
        ...(method === 'GET' || method === 'DELETE' ? {} : { body: {} }),
      });
      expect([path, absent.json()]).toEqual([path, { itemNotFound: { code: 404, message: 'The resource could not be found.' } }]);
      const there = await cloud.call(method, base + path, {
        microversion: from,
        ...(method === 'GET' || method === 'DELETE' ? {} : { body: {} }),
      });
      expect(JSON.stringify(there.json())).not.toContain('The resource could not be found');
    }
  });
  it('415 before the body’s content, 400 for what is no JSON', async () => {
    const text = await cloud.app.inject({
      method: 'POST',
      url: `${base}/servers`,
      headers: { 'x-auth-token': cloud.admin.token, 'content-type': 'text/plain' },
      payload: '{',
    });
    expect([text.statusCode, Object.keys(text.json())[0]]).toEqual([415, 'badMediaType']);
    const broken = await cloud.app.inject({
      method: 'POST',
      url: `${base}/servers`,
      headers: { 'x-auth-token': cloud.admin.token, 'content-type': 'application/json' },
      payload: '{',
    });
    expect(broken.json()).toEqual({ badRequest: { code: 400, message: 'Malformed request body' } });
  });
  it('a body that is wrong is 400 even of a server that is not there; a stranger’s server is 404, not 403', async () => {
    const wrong = await cloud.call('POST', `${base}/servers/${randomUUID()}/action`, { as: member, body: { 'os-migrateLive': {} } });
    expect(wrong.statusCode).toBe(400);
    const other = await cloud.server(cloud.admin);
    const body = { 'os-migrateLive': { host: null, block_migration: false, disk_over_commit: false } };
    expect((await cloud.call('POST', `${base}/servers/${other}/action`, { as: member, body })).json()).toEqual({
      itemNotFound: { code: 404, message: `Instance ${other} could not be found.` },
    });
    const own = await cloud.server(member);
    expect((await cloud.call('POST', `${base}/servers/${own}/action`, { as: member, body })).json()).toEqual({
      forbidden: { code: 403, message: "Policy doesn't allow os_compute_api:os-migrate-server:migrate_live to be performed." },
    });
  });
  it('403 for a token without a project', async () => {
    const auth = { identity: { methods: ['token'], token: { id: cloud.admin.token } }, scope: 'unscoped' };
    const token = String((await cloud.call('POST', '/identity/v3/auth/tokens', { as: null, body: { auth } })).headers['x-subject-token']);
    expect((await cloud.call('GET', `${base}/servers`, { as: { ...cloud.admin, token } })).statusCode).toBe(403);
  });
  it('an empty Accept header is no reason to refuse', async () => {
    expect((await cloud.call('GET', `${base}/servers`, { headers: { accept: '' } })).statusCode).toBe(200);
  });
});

describe('ways to write the path', () => {
  it('with the project in it, and 400 for another project', async () => {
    expect((await cloud.call('GET', `${base}/${cloud.admin.projectId}/servers/detail`)).statusCode).toBe(200);
    const answer = await cloud.call('GET', `${base}/${member.projectId}/servers/detail`);
    expect([answer.statusCode, answer.json().badRequest.message]).toEqual([
      400,
      "Malformed request URL: URL's project_id doesn't match the token's project",
    ]);
  });
  it('with a slash at the end', async () => expect((await cloud.call('GET', `${base}/servers/detail/`)).statusCode).toBe(200));
  it('under v2, without microversions', async () => {
    const answer = await cloud.call('GET', '/compute/v2/servers', { microversion: '2.53' });
    expect(answer.statusCode).toBe(200);
    expect(answer.headers['openstack-api-version']).toBeUndefined();
    expect(answer.json().servers[0].links[0].href).toContain('/compute/v2/servers/');
  });
});

describe('a query', () => {
  it('is refused for what its list does not know, and for what is none of its values, from the microversion on that the reference says', async () => {
    const id = await cloud.server(member);
    await cloud.migration(id);
    await cloud.call('POST', `${base}/os-keypairs`, { body: { keypair: { name: 'asked' } } });
    const actions = `/servers/${id}/os-instance-actions`;
    const { projectId } = cloud.admin;
    const [since, before] = ['changes-since=2020-01-01T00:00:00Z', 'changes-before=2099-01-01T00:00:00%2B00:00'];
    /** What is asked, the microversions that refuse it, and such beside them that do not. */
    const cases: readonly (readonly [asked: string, refusing: readonly number[], passing: readonly number[]])[] = [
      ...['/servers', '/servers/detail', '/flavors', '/flavors/detail', '/os-keypairs', '/os-keypairs/asked', '/os-services'].map(
        (path) => [`${path}?colour=red`, [75, 93], [1, 74]] as const,
      ),
      ...['/os-server-groups', '/limits', `/os-quota-sets/${projectId}`, `/os-quota-sets/${projectId}/detail`].map(
        (path) => [`${path}?colour=red`, [75, 93], [50, 74]] as const,
      ),
      ['/os-simple-tenant-usage?colour=red', [75], [1, 74]],
      [`/os-simple-tenant-usage/${projectId}?detailed=1`, [75], [1, 74]],
      ['/os-hypervisors?colour=red', [53, 93], [1, 52]],
      ['/os-hypervisors/detail?colour=red', [53, 93], [1, 52]],
      ['/os-migrations?colour=red', [59, 93], [1, 58]],
      [`${actions}?colour=red`, [58, 93], [1, 57]],
      // What comes with a later microversion means nothing before, and is unknown where the list is closed already.
      ['/os-hypervisors?limit=x', [33, 53], [1, 32]],
      ['/os-hypervisors?with_servers=maybe', [53], [52]],
      ['/os-hypervisors?hypervisor_hostname_pattern=%20', [53], [52]],
      ['/os-keypairs?limit=x', [35, 75], [34]],
      ['/os-migrations?limit=-1', [59], [58]],
      ['/os-migrations?changes-since=yesterday', [59], [58]],
      [`/os-migrations?${before}`, [59, 65], [58, 66]],
      [`/os-migrations?user_id=u&project_id=p`, [59, 79], [58, 80]],
      [`${actions}?${before}`, [58, 65], [57, 66]],
      [`${actions}?${since}&limit=1`, [], [57, 58]],
      ['/servers?changes-before=yesterday', [66, 75], [65]],
      [`/servers?${since}&${before}`, [], [65, 66, 75]],
      ['/servers?tags=a&not-tags-any=b&locked=true', [], [1, 25, 26, 73, 75]],
      ['/servers?locked=perhaps', [73], [72]],
      ['/servers?limit=', [1, 75], []],
      ['/servers?sort_dir=up', [1, 75], []],
      ['/servers?sort_key=color', [1, 75], []],
      // Once keys to sort by, ignored since.
      ['/servers?sort_key=vcpus&sort_dir=asc', [75], [1, 74]],
      ['/servers?sort_key=locked', [], [1, 72, 73, 93]],
      ['/flavors?sort_key=ram', [1, 75], []],
      ['/flavors?minRam=many', [1, 75], []],
      ['/os-server-groups?offset=-1', [1, 75], []],
      // Twice the same key: the last one counts, or it is refused.
      ['/servers?limit=1&limit=2', [], [1, 75, 93]],
      ['/os-hypervisors?limit=1&limit=2', [53], [33, 52]],
      ['/os-migrations?limit=1&limit=2', [59], [58]],
      ['/os-migrations?status=done&status=error', [], [1, 59, 93]],
      [`${actions}?limit=1&limit=2`, [58], [57]],
    ];
    for (const [asked, refusing, passing] of cases) {
      const found: number[] = [];
      for (const minor of [...refusing, ...passing]) {
        const answer = await cloud.call('GET', base + asked, { microversion: `2.${minor}` });
        if (answer.statusCode === 400)
          expect(answer.json().badRequest.message).toMatch(
            /^(Additional properties are not allowed \('|Invalid input for query parameters )/,
          );
        expect([asked, minor, answer.statusCode]).toEqual([asked, minor, refusing.includes(minor) ? 400 : 200]);
        found.push(minor);
      }
      expect(found.length).toBeGreaterThan(0);
    }
    // Before the policy is asked, as the body is.
    expect((await cloud.call('GET', `${base}/os-migrations?colour=red`, { as: member, microversion: '2.59' })).statusCode).toBe(400);
    // Of the last one.
    const limited = await cloud.call('GET', `${base}/os-services?host=nobody&host=node1`, { microversion: '2.53' });
    expect(limited.json().services.map((one: { host: string }) => one.host)).toEqual(['node1']);
  });
});

describe('closed schemas', () => {
  it('hold for every readable route at every microversion, for an admin and a member', async () => {
    const reader = await cloud.user('reader', member.projectId);
    const id = await cloud.server(member, {
      metadata: JSON.stringify({ a: 'b' }),
      tags: ['t'],
      description: 'd',
      locked_reason: 'r',
      vm_state: 'error',
      fault: JSON.stringify({ code: 500, message: 'm', details: 'x', created: new Date().toISOString() }),
    });
    await cloud.server(member, { vm_state: 'active', task_state: 'migrating', progress: 40 });
    const { apiId } = await cloud.migration(id);
    for (const as of [cloud.admin, reader]) await cloud.call('POST', `${base}/os-keypairs`, { as, body: { keypair: { name: 'k' } } });
    const groupId = (
      await cloud.call('POST', `${base}/os-server-groups`, { as: member, body: { server_group: { name: 'g', policies: ['affinity'] } } })
    ).json().server_group.id;
    await cloud.db.insertInto('server_group_member').values({ group_id: groupId, server_id: id }).execute();
    const action = await cloud.db.selectFrom('instance_action').selectAll().where('server_id', '=', id).executeTakeFirstOrThrow();
    await cloud.db
      .insertInto('instance_action_event')
      .values({
        action_id: action.id,
        event: 'compute_live_migration',
        host_id: cloud.hosts.node1,
        finish_time: new Date(),
        result: 'Success',
        traceback: null,
        details: null,
      })
      .execute();
    const port = await cloud.db.selectFrom('port').select('id').where('server_id', '=', id).executeTakeFirstOrThrow();
    await cloud.db
      .updateTable('image')
      .set({ properties: JSON.stringify({ a: 'b', instance_uuid: id }) })
      .execute();
    const known: Readonly<Record<string, string>> = {
      server: id,
      migration: String(apiId),
      flavor: 'f1',
      keypair: 'k',
      group: groupId,
      request: action.request_id,
      project: cloud.admin.projectId,
      alias: 'os-migrations',
      network: 'net',
      net: cloud.networkId,
      security_group: await defaultGroup(cloud.db, member.projectId),
      port: port.id,
      image: cloud.imageId,
      before: '2020-03-15%2012:00:00',
      class: 'default',
      key: 'a',
      tag: 't',
      hypervisor: '1',
      aggregate: '1',
      service: '1',
      host: 'node1',
    };
    const readable = computeRoutes.filter((route) => route.method === 'GET' && !removedRoutes.includes(route));
    // What refuses whoever asks has one answer, up to where it is not there any more.
    for (const minor of [1, 35, 36, computeMicroversions.maxMinor])
      for (const route of removedRoutes.filter(({ method }) => method === 'GET')) {
        const path = route.path.replace(/:(\w+)/g, (_all, name: string) => known[name] ?? '1');
        const answer = await cloud.call('GET', base + path, { as: cloud.admin, microversion: `2.${minor}` });
        expect([path, minor, answer.statusCode]).toEqual([
          path,
          minor,
          variantAt(route, minor) === null ? 404 : (expect.toBeOneOf([410, 501]) as number),
        ]);
      }
    // Where answers change; all 93 with GODWIT_ALL_MICROVERSIONS=1.
    const changing = [
      1, 2, 3, 9, 13, 16, 19, 21, 23, 26, 33, 35, 36, 39, 40, 43, 47, 48, 50, 51, 53, 55, 57, 58, 59, 61, 62, 63, 64, 66, 69, 70, 71, 73,
      75, 78, 80, 84, 88, 90, 92, 93,
    ];
    const minors =
      process.env['GODWIT_ALL_MICROVERSIONS'] === '1'
        ? Array.from({ length: computeMicroversions.maxMinor }, (_, index) => index + 1)
        : [...new Set(changing.flatMap((minor) => [minor - 1, minor]))].filter((minor) => minor > 0);
    const whole = (minor: number) => process.env['GODWIT_ALL_MICROVERSIONS'] === '1' || changing.includes(minor);
    // Just before a change only what changes is asked, by the admin, who is shown most: a change that comes too early is seen there.
    const shape = (one: ComputeRoute, minor: number) => JSON.stringify(variantAt(one, minor)?.response?.(minor, true) ?? null);
    let answers = 0;
    for (const minor of minors) {
      for (const route of readable) {
        const variant = variantAt(route, minor);
        const path = route.path.replace(/:(\w+)/g, (_all, name: string) => known[name] ?? '1');
        if (!whole(minor) && shape(route, minor) === shape(route, minor + 1)) continue;
        for (const as of whole(minor) ? [cloud.admin, reader] : [cloud.admin]) {
          const answer = await cloud.call('GET', base + path, { as, microversion: `2.${minor}` });
          if (answer.statusCode === 500)
            throw new Error(`${path} at 2.${minor}: ${String(Reflect.get((cloud.unexpected.at(-1) as { err: Error }).err, 'message'))}`);
          const expected = variant === null ? [404] : as === cloud.admin ? [200, 204] : [200, 204, 403];
          // Where the ids above are none of theirs, only the shape of what is answered counts.
          const elsewhere =
            /\/os-flavor-access$|\/os-extra_specs\/|\/os-volume_attachments\/|\/diagnostics$|^\/os-(aggregates|hypervisors|services|hosts|baremetal-nodes|console-auth-tokens|floating-ips\/)/.test(
              path,
            );
          if (!elsewhere && !expected.includes(answer.statusCode))
            throw new Error(`${path} at 2.${minor} for ${as.name}: ${answer.statusCode} ${answer.body}`);
          answers++;
        }
      }
    }
    expect(answers).toBeGreaterThan(readable.length * changing.length * 2);
  }, 240_000);
});
