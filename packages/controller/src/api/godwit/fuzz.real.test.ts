import { randomUUID } from 'node:crypto';
import { Code, ConnectError } from '@connectrpc/connect';
import { Ajv2020, type ValidateFunction } from 'ajv/dist/2020.js';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { AgentClient, Agents } from '../../agents/agents.ts';
import type { AppContext } from '../../app-context.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { fleetOperations } from '../../workflows/fleet/fleet-operations.ts';
import { startTestCloud, type TestCloud } from '../compute/test-cloud.ts';
import { bodiesNear } from '../testing/bodies-near.ts';
import { watchChanges } from '../testing/watch-changes.ts';
import { openApiDocument } from './openapi.ts';
import { godwitPlugin } from './plugin.ts';

type Method = 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
type Content = { readonly content?: Readonly<Record<string, { readonly schema: object }>> };
type Operation = {
  readonly parameters: readonly { readonly name: string; readonly in: string }[];
  readonly requestBody?: Content;
  readonly responses: Readonly<Record<string, Content>>;
};
type Document = { readonly paths: Readonly<Record<string, Readonly<Record<string, Operation>>>>; readonly components: object };

/** What this test calls is what the product says of itself: its own OpenAPI document. */
const document = JSON.parse(JSON.stringify(openApiDocument('http://cloud.example/godwit/v1'))) as Document;
const routes = Object.entries(document.paths)
  .flatMap(([path, methods]) =>
    Object.entries(methods).map(([method, operation]) => {
      const name = `${method.toUpperCase()} ${path}`;
      return { name, method: method.toUpperCase() as Method, path, operation };
    }),
  )
  // A stream that does not end, and an upgrade of the connection: no answers to look at.
  .filter(({ name }) => name !== 'GET /events' && name !== 'GET /consoles');
type Route = (typeof routes)[number];

const ajv = new Ajv2020({ strict: false, validateFormats: false });
const compile = (schema: object): ValidateFunction => ajv.compile({ ...schema, components: document.components });
const isRefusal = compile({ $ref: '#/components/schemas/Failure' });
const answers = new Map(
  routes.map(({ name, operation }) => [
    name,
    new Map(
      Object.entries(operation.responses).flatMap(([status, { content }]) => {
        const schema = content?.['application/json']?.schema;
        return schema === undefined ? [] : [[Number(status), compile(schema)] as const];
      }),
    ),
  ]),
);

let server: TestServer;
let cloud: TestCloud;
/** Values of the parameters of a path that name something, by the segment before it. */
let known: Readonly<Record<string, string>>;
let changes: () => Promise<number>;
/** What handlers threw, newest last. */
const errors: Error[] = [];
/** No host answers. */
const silent = new Proxy({} as AgentClient, {
  get: (_target, name) => (name === 'then' ? undefined : async () => Promise.reject(new ConnectError('nobody answers', Code.Unavailable))),
});
const silentAgents: Agents = { client: () => Promise.resolve(silent), forget: () => {}, close: async () => {} };

beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db, async (app, context, workflows) => {
    const config = {
      ...context.config,
      ...{ cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 },
      limits: { outgoingPerHost: 2, incomingPerHost: 2, total: 10 },
      agentListen: { address: '', port: 1, names: ['cloud.example'] },
      // It does not exist: of logs there are none.
      stateDir: '/nonexistent',
      tls: null,
    } as unknown as AppContext['config'];
    const fleet = fleetOperations({ db: context.db, config, workflows });
    const whole = { ...context, config, fleet, agents: silentAgents } as unknown as AppContext;
    await app.register(
      async (scope) => {
        scope.addHook('onError', async (_request, _reply, error) => void errors.push(error));
        await godwitPlugin(scope, whole);
      },
      { prefix: '/godwit/v1' },
    );
  });
  const { db } = cloud;
  const member = await cloud.user('member');
  const [id, other] = [await cloud.server(member), await cloud.server(member)];
  const migration = await cloud.migration(other);
  const group = randomUUID();
  await sql`insert into server_group ${sql.raw('(id, name, policy, project_id, user_id)')} values (${group}, 'g', 'soft-affinity', ${member.projectId}, ${member.userId})`.execute(
    db,
  );
  const made = await cloud.call('POST', '/godwit/v1/operations', { body: { kind: 'bulk', select: { servers: [id] } } });
  expect([made.statusCode, errors]).toEqual([202, []]);
  known = {
    servers: id,
    members: id,
    migrations: migration.id,
    'migration-policies': 'default',
    'server-groups': group,
    hosts: 'node1',
    operations: made.json<{ operation: { id: string } }>().operation.id,
    bundles: migration.id,
  };
  changes = await watchChanges(db);
});
afterAll(() => server.stop());

const odd = [
  '',
  '0',
  '-1',
  '99999999999999999999',
  'x',
  'node2',
  'true',
  'cold',
  'open',
  '(',
  '*',
  '\\',
  '%',
  '00000000-0000-4000-8000-000000000000',
  'req-00000000-0000-4000-8000-000000000000',
  '2020-01-01T00:00:00Z',
  '2020-13-99',
  '\u0000',
  'ä漢😀',
  "'; drop table host; --",
  '__proto__',
  'a'.repeat(250),
];
/** The path with what is there, or in one place with what is not. */
const pathsOf = (path: string): fc.Arbitrary<string> =>
  fc.option(fc.constantFrom(...odd.filter((value) => value !== '')), { freq: 3 }).map((strange) => {
    const segments = path.split('/');
    return segments
      .map((segment, at) => {
        if (!segment.startsWith('{')) return segment;
        return encodeURIComponent(strange === null ? (known[segments[at - 1] ?? ''] ?? 'x') : strange);
      })
      .join('/');
  });
const queriesOf = ({ operation }: Route): fc.Arbitrary<string> => {
  const keys = [...operation.parameters.filter((one) => one.in === 'query').map((one) => one.name), 'limit', 'anything'];
  return fc
    .array(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...odd)), { maxLength: 3 })
    .map((pairs) => new URLSearchParams(pairs.map(([key, value]): [string, string] => [key, value])).toString());
};

/** Answered as the document says; a refusal has the contract's shape and, as every GET, has changed nothing. */
async function expectDocumented(route: Route, path: string, query: string, payload: string | null): Promise<void> {
  const before = await changes();
  const url = `/godwit/v1${path}${query === '' ? '' : `?${query}`}`;
  const answer = await cloud.app.inject({
    method: route.method,
    url,
    headers: { 'x-auth-token': cloud.admin.token, ...(payload === null ? {} : { 'content-type': 'application/json' }) },
    ...(payload === null ? {} : { payload }),
  });
  const { statusCode: status } = answer;
  const wrong = (what: string): never => {
    throw new Error(
      `${route.method} ${url} with ${payload ?? 'no body'}: ${status} ${answer.body.slice(0, 300)} ${what} ${String(errors.at(-1))}`,
    );
  };
  if (status >= 500 && status !== 501) wrong('is no answer');
  if (status >= 400) {
    if (!isRefusal(answer.json())) wrong('has not the shape of a refusal');
  } else if (answer.body !== '') {
    const fits = answers.get(route.name)?.get(status) ?? wrong('is not described');
    if (!fits(answer.json())) wrong(ajv.errorsText(fits.errors));
  } else if (route.operation.responses[String(status)] === undefined) wrong('is not described');
  if ((status >= 400 || route.method === 'GET') && (await changes()) !== before) wrong('has changed rows');
}

describe('whatever is asked of /godwit/v1 is answered as its OpenAPI document says, and what is refused changes nothing', () => {
  it.each(routes.map((route) => [route.name, route] as const))('%s', async (_name, route) => {
    const schema = route.operation.requestBody?.content?.['application/json']?.schema;
    const ids = [...Object.values(known), cloud.hosts.node2, 'node2'];
    const body =
      route.method === 'GET'
        ? fc.constant(null)
        : schema === undefined
          ? fc.option(fc.jsonValue({ maxDepth: 2 }).map((value) => JSON.stringify(value)))
          : fc.oneof(
              { weight: 9, arbitrary: bodiesNear(schema, ids).map((value) => JSON.stringify(value) ?? '') },
              { weight: 1, arbitrary: fc.constantFrom(null, '', '{', '[', 'null', '\u0000') },
            );
    await fc.assert(
      fc.asyncProperty(pathsOf(route.path), queriesOf(route), body, async (path, query, payload) =>
        expectDocumented(route, path, query, payload),
      ),
      { numRuns: schema === undefined ? 15 : 40 },
    );
  });
});
