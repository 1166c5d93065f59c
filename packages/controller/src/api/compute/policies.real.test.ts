import { randomUUID } from 'node:crypto';
import fc from 'fast-check';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { policyTable, type Who } from '../../auth/policy.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import type { TestUser } from '../test-api.ts';
import { bodiesOf } from '../testing/bodies-near.ts';
import { actionBodyOf, actionNames } from './actions.ts';
import { type ComputeRoute, variantAt } from './route.ts';
import { computeRoutes } from './routes.ts';
import { startTestCloud, type TestCloud } from './test-cloud.ts';

/** Roles by what they may; `outsider` has a role in the project that no rule names. */
const ranks = { outsider: 0, reader: 1, member: 2, admin: 3 } as const;
type Role = keyof typeof ranks;
const least: Readonly<Record<Who, number>> = { anyone: 0, reader: 1, member: 2, admin: 3 };
const who = new Map(policyTable.map((entry) => [entry.rule, entry.who]));
const minors = [1, 14, 24, 30, 42, 52, 60, 74, 87, 93];

let server: TestServer;
let cloud: TestCloud;
const users = new Map<Role, TestUser>();
let paths: Readonly<Record<string, string>>;
let ids: readonly string[];
beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db);
  await cloud.db.insertInto('identity_role').values({ id: randomUUID(), name: 'outsider', description: null }).execute();
  const member = await cloud.user('member');
  users.set('admin', cloud.admin).set('member', member);
  for (const role of ['reader', 'outsider'] as const) users.set(role, await cloud.user(role as 'reader', member.projectId));
  const id = await cloud.server(member);
  await cloud.db
    .updateTable('server')
    .set({ metadata: JSON.stringify({ a: 'b' }) })
    .where('id', '=', id)
    .execute();
  const { apiId } = await cloud.migration(id);
  ids = [cloud.imageId, cloud.networkId, 'f1'];
  paths = {
    server: id,
    migration: String(apiId),
    flavor: 'f1',
    key: 'a',
    tag: 't',
    aggregate: '1',
    service: '1',
    host: 'node1',
    hypervisor: '1',
    project: member.projectId,
  };
});
afterAll(() => server.stop());

type Refusal = { readonly status: number; readonly rule: string | null; readonly text: string };

async function ask(role: Role, method: ComputeRoute['method'], path: string, minor: number, body: unknown): Promise<Refusal> {
  const answer = await cloud.call(method, `/compute/v2.1${path}`, {
    as: users.get(role) ?? null,
    microversion: `2.${minor}`,
    ...(body === undefined ? {} : { body: body as object }),
  });
  const rule =
    answer.statusCode === 403
      ? (/^Policy doesn't allow (\S+) to be performed\.$/.exec(
          answer.json<{ forbidden?: { message: string } }>().forbidden?.message ?? '',
        )?.[1] ?? null)
      : null;
  return { status: answer.statusCode, rule, text: answer.body };
}

/** Where a body must fit the path, or not name somebody else: what fits the schema alone is refused for what it says. */
const given: Readonly<Record<string, readonly unknown[]>> = {
  'PUT /servers/:server/metadata/:key': [{ meta: { a: 'b' } }],
  'PUT /images/:image/metadata/:key': [{ meta: { a: 'b' } }],
  'POST /os-aggregates/:aggregate/action': [
    { add_host: { host: 'node1' } },
    { remove_host: { host: 'node1' } },
    { set_metadata: { metadata: { a: 'b' } } },
  ],
  'POST /flavors/:flavor/action': [{ addTenantAccess: { tenant: 'p' } }, { removeTenantAccess: { tenant: 'p' } }],
  'POST /os-keypairs': [{ keypair: { name: 'k', type: 'ssh', public_key: 'ssh-rsa AAAAB3NzaC1yc2EAAAADAQABAAAAAQAB x' } }],
};

/** One way to call each thing that the API does: a route, or an action, at a minor where it is there. */
function* calls(): Generator<{
  readonly name: string;
  readonly method: ComputeRoute['method'];
  readonly path: string;
  readonly minor: number;
  readonly bodies: readonly unknown[];
}> {
  for (const route of computeRoutes) {
    if (route.path.endsWith('/servers/:server/action')) continue;
    const path = route.path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(paths[name] ?? '1'));
    const minor = minors.findLast((one) => variantAt(route, one) !== null);
    if (minor === undefined) continue;
    const schema = variantAt(route, minor)?.body?.(minor);
    const name = `${route.method} ${route.path}`;
    // What a query must have.
    const required = variantAt(route, minor)?.query?.(minor).required ?? [];
    const query = required.length === 0 ? '' : `?${required.map((key) => `${key}=x`).join('&')}`;
    const call = { name, method: route.method, path: path + query, minor };
    for (const body of given[name] ?? []) yield { ...call, bodies: [body] };
    if (given[name] === undefined)
      yield { ...call, bodies: schema === undefined ? [undefined] : fc.sample(bodiesOf(schema, ids), { numRuns: 4, seed: 7 }) };
  }
  for (const name of actionNames) {
    const minor = minors.findLast((one) => actionBodyOf(name, one) !== null && actionBodyOf(name, one) !== undefined);
    if (minor === undefined) continue;
    yield {
      name: `action ${name}`,
      method: 'POST',
      path: `/servers/${paths['server']}/action`,
      minor,
      bodies: fc.sample(bodiesOf(actionBodyOf(name, minor) ?? {}, ids), { numRuns: 4, seed: 7 }),
    };
  }
}

/** What everybody with a role in a project may call: the API's rules for these are "any", or there is none. */
const open =
  /^(GET|POST|DELETE) \/os-keypairs|^GET \/(limits|flavors|os-availability-zone|extensions|images|os-quota-sets\/:project\/defaults|os-networks|os-tenant-networks|os-floating)|^GET \/$/;

it('every route and action refuses by the table, with its words, and nothing that a role may not see is told', {
  timeout: 240_000,
}, async () => {
  const told = new Set<string>();
  const unguarded: string[] = [];
  const wrong: string[] = [];
  const leaks: string[] = [];
  for (const call of calls()) {
    for (const role of ['outsider', 'reader', 'member'] as const) {
      // Of bodies that fit the schema some are still refused for what they say, before anybody asks who asks: one is enough that comes through.
      let last: Refusal = { status: 0, rule: null, text: '' };
      for (const body of call.bodies) {
        last = await ask(role, call.method, call.path, call.minor, body);
        if (last.status !== 400) break;
      }
      const what = `${call.name} at 2.${call.minor} as ${role}`;
      // The image service's own rule, in its own words.
      if (last.status === 403 && call.name.includes(' /images/')) continue;
      if (last.status === 403) {
        const takes = last.rule === null ? undefined : who.get(last.rule);
        if (last.rule !== null) told.add(last.rule);
        if (takes === undefined || least[takes] <= ranks[role]) wrong.push(`${what}: 403 ${last.text.slice(0, 200)}`);
      } else if (last.status === 501 || last.status === 410) {
        continue; // Not offered, or gone, whoever asks.
      } else if (role === 'outsider' && last.status !== 404 && !open.test(call.name)) unguarded.push(`${what}: ${last.status}`);
      else if (role === 'reader' && call.method !== 'GET' && ![400, 404].includes(last.status) && !open.test(call.name))
        unguarded.push(`${what}: ${last.status}`);
      if (call.method === 'GET' && last.status < 300 && /node\d|metal\d|10\.77\./.test(last.text))
        leaks.push(`${what}: ${last.text.slice(0, 200)}`);
    }
  }
  expect({ unguarded, wrong, leaks }).toEqual({ unguarded: [], wrong: [], leaks: [] });
  // Rules that a query or a part of a body calls up: their own tests ask for them.
  const conditional =
    /all_tenants|all_projects|forced_host|requested_destination|allow_all_filters|unlock_override|other_project|unshelve_to_host|events$|os-flavor-access$/;
  const untold = policyTable
    .filter(({ rule, who: takes }) => takes !== 'anyone' && !told.has(rule) && !conditional.test(rule))
    .map(({ rule }) => rule);
  expect(untold).toEqual([]);
});
