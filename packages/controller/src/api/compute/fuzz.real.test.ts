import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { identityRoutes } from '../identity/routes.ts';
import { queryViolation } from '../json-body.ts';
import { bodiesNear } from '../testing/bodies-near.ts';
import { watchChanges } from '../testing/watch-changes.ts';
import { actionBodyOf, actionNames } from './actions.ts';
import { variantAt } from './route.ts';
import { computeRoutes } from './routes.ts';
import { startTestCloud, type TestCloud } from './test-cloud.ts';

let server: TestServer;
let cloud: TestCloud;
let known: Readonly<Record<string, string>>;
const ids: string[] = [];
/** Grows with every row that is made, changed or deleted. */
let changes: () => Promise<number>;
beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db);
  const member = await cloud.user('member');
  const id = await cloud.server(member);
  const { apiId } = await cloud.migration(id);
  const port = await cloud.db.selectFrom('port').select('id').where('server_id', '=', id).executeTakeFirstOrThrow();
  const { id: roleId } = await cloud.db.selectFrom('identity_role').select('id').where('name', '=', 'reader').executeTakeFirstOrThrow();
  ids.push(cloud.imageId, cloud.networkId, 'f1', 'node2');
  known = {
    server: id,
    migration: String(apiId),
    flavor: 'f1',
    image: cloud.imageId,
    net: cloud.networkId,
    port: port.id,
    key: 'a',
    tag: 't',
    aggregate: '1',
    service: '1',
    host: 'node1',
    hypervisor: '1',
    user: member.userId,
    project: member.projectId,
    domain: 'default',
    role: roleId,
    scope: member.projectId,
  };
  // The first look makes a project's default group.
  await cloud.call('GET', '/compute/v2.1/os-security-groups');
  changes = await watchChanges(cloud.db);
});
afterAll(async () => {
  await server.stop();
});

const minors = [1, 2, 15, 19, 25, 30, 37, 42, 52, 56, 63, 64, 67, 73, 74, 90, 92, 93];
const pathOf = (path: string): string => path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(known[name] ?? '1'));

async function expectNo500(method: 'POST' | 'PUT' | 'PATCH', url: string, body: unknown, minor: number): Promise<void> {
  const before = cloud.unexpected.length;
  const changed = await changes();
  const answer = await cloud.app.inject({
    method,
    url,
    headers: { 'x-auth-token': cloud.admin.token, 'content-type': 'application/json', 'openstack-api-version': `compute 2.${minor}` },
    payload: JSON.stringify(body) ?? '',
  });
  if (answer.statusCode >= 500 && answer.statusCode !== 501) {
    throw new Error(
      `${method} ${url} at 2.${minor} with ${JSON.stringify(body)}: ${answer.statusCode} ${String((cloud.unexpected.at(-1) as { err?: unknown } | undefined)?.err)}`,
    );
  }
  expect(cloud.unexpected.length).toBe(before);
  if (!/auth\/tokens$|password$/.test(url)) expect(answer.statusCode).not.toBe(401);
  if (answer.statusCode >= 400) {
    expectRefusal(answer);
    if ((await changes()) !== changed)
      throw new Error(`${method} ${url} at 2.${minor} with ${JSON.stringify(body)}: refused, and changed rows`);
  }
}

/** The shape of the contract: one object, named by the kind of error. */
function expectRefusal(answer: { readonly statusCode: number; readonly json: <T>() => T }): void {
  const [[name, error] = ['', {}], ...rest] = Object.entries(answer.json<Record<string, object>>());
  expect([name.length > 0, rest.length, Reflect.get(error as object, 'code'), typeof Reflect.get(error as object, 'message')]).toEqual([
    true,
    0,
    answer.statusCode,
    'string',
  ]);
}

describe('no query makes a 500, and what is refused has the contract’s shape', () => {
  const odd = [
    '',
    '0',
    '-1',
    '99999999999999999999',
    'x',
    'True',
    '(',
    '[',
    '*',
    '\\',
    '00000000-0000-4000-8000-000000000000',
    '2020-01-01T00:00:00Z',
    '2020-13-99',
    '\u0000',
    'ä',
    "'",
    'a,b',
    'ERROR',
  ];
  async function expectAnswered(path: string, minor: number, pairs: [string, string][]): Promise<number> {
    const query = new URLSearchParams(pairs.map(([key, value]): [string, string] => [key.toWellFormed(), value.toWellFormed()]));
    const answer = await cloud.call('GET', `/compute/v2.1${pathOf(path)}?${query.toString()}`, { microversion: `2.${minor}` });
    if (answer.statusCode >= 500 && answer.statusCode !== 501)
      throw new Error(
        `${path} at 2.${minor} with ${JSON.stringify(pairs)}: ${String((cloud.unexpected.at(-1) as { err?: unknown } | undefined)?.err)}`,
      );
    if (answer.statusCode >= 400) expectRefusal(answer);
    expect(answer.statusCode).not.toBe(401);
    return answer.statusCode;
  }
  /** What a query is made of from its keys with their values; what no client could write is written as text. */
  const pairsOf = (query: unknown): [string, string][] =>
    (typeof query === 'object' && query !== null ? Object.entries(query) : [['x', query] as const]).flatMap(([key, values]) =>
      (Array.isArray(values) ? values : [values]).map((value): [string, string] => [
        key,
        typeof value === 'string' ? value : (JSON.stringify(value) ?? ''),
      ]),
    );
  const asked = computeRoutes.filter((route) => route.method === 'GET' && route.variants.some(({ query }) => query !== undefined));
  it.each(asked.map((route) => [route.path, route] as const))('near the schema of %s', async (_name, route) => {
    const changed = await changes();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...minors.filter((minor) => variantAt(route, minor)?.query !== undefined)).chain((minor) => {
          const schema = variantAt(route, minor)?.query?.(minor) ?? { properties: {} };
          const value = fc.oneof(fc.constantFrom(...odd), fc.string({ maxLength: 5 }));
          return fc.record({
            minor: fc.constant(minor),
            schema: fc.constant(schema),
            near: bodiesNear(schema, [...ids, ...Object.values(known)]).map(pairsOf),
            more: fc.array(fc.tuple(fc.constantFrom(...Object.keys(schema.properties), 'anything'), value), { maxLength: 2 }),
          });
        }),
        async ({ minor, schema, near, more }) => {
          const pairs = [...near, ...more];
          const status = await expectAnswered(route.path, minor, pairs);
          // What the schema refuses no handler sees.
          const query = Object.fromEntries(Map.groupBy(pairs, ([key]) => key.toWellFormed()).entries());
          const values = Object.fromEntries(Object.entries(query).map(([key, all]) => [key, all.map(([, text]) => text.toWellFormed())]));
          if (queryViolation(schema, values) !== null && status !== 400)
            throw new Error(`${route.path} at 2.${minor} with ${JSON.stringify(pairs)}: ${status}`);
        },
      ),
      { numRuns: 30 },
    );
    expect(await changes()).toBe(changed);
  });
  it('of what has none', async () => {
    const others = computeRoutes.filter((route) => route.method === 'GET' && !asked.includes(route));
    const keys = [
      'limit',
      'marker',
      'offset',
      'name',
      'status',
      'server',
      'type',
      'property-a',
      'changes-since',
      'minRam',
      'zone',
      'detailed',
    ];
    const changed = await changes();
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...others),
        fc.constantFrom(...minors),
        fc.array(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...odd)), { maxLength: 4 }),
        async (route, minor, pairs) => {
          await expectAnswered(route.path, minor, pairs);
        },
      ),
      { numRuns: 150 },
    );
    expect(await changes()).toBe(changed);
  });
});

// After the queries: identity's bodies take the token away.
describe('no body makes a 500, and what is refused changes nothing', () => {
  const withBody = computeRoutes.filter(
    (route) => route.variants.some((variant) => variant.body !== undefined) && !route.path.endsWith('/action'),
  );
  it.each(withBody.map((route) => [`${route.method} ${route.path}`, route] as const))('%s', async (_name, route) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...minors).chain((minor) => {
          const schema = variantAt(route, minor)?.body?.(minor);
          return fc.tuple(fc.constant(minor), schema === undefined ? fc.jsonValue() : bodiesNear(schema, ids));
        }),
        async ([minor, body]) => expectNo500(route.method as 'POST', `/compute/v2.1${pathOf(route.path)}`, body, minor),
      ),
      { numRuns: 50 },
    );
  });
  it.each(actionNames)('action %s', async (name) => {
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom(...minors).chain((minor) => fc.tuple(fc.constant(minor), bodiesNear(actionBodyOf(name, minor) ?? {}, ids))),
        async ([minor, body]) => expectNo500('POST', `/compute/v2.1/servers/${known['server']}/action`, body, minor),
      ),
      { numRuns: 40 },
    );
  });
  // Passwords cost 60 ms each: fewer runs there.
  const ofIdentity = identityRoutes.filter((route) => route.body !== undefined);
  it.each(ofIdentity.map((route) => [`${route.method} ${route.path}`, route] as const))('identity %s', async (_name, route) => {
    await fc.assert(
      fc.asyncProperty(bodiesNear(route.body ?? {}, ids), async (body) => {
        await cloud.db.deleteFrom('login_attempt').execute();
        // What a body may have done to the caller: nothing would be looked at any more.
        await cloud.db
          .updateTable('identity_user')
          .set({ enabled: true, tokens_valid_after: new Date(0) })
          .where('id', '=', cloud.admin.userId)
          .execute();
        await cloud.db.updateTable('identity_domain').set({ enabled: true }).execute();
        await cloud.db.updateTable('identity_project').set({ enabled: true }).execute();
        await expectNo500(route.method as 'POST', `/identity${pathOf(route.path)}`, body, 1);
      }),
      { numRuns: 40 },
    );
  });
});
