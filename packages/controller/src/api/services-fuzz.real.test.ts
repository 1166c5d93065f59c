import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { aggregateActions } from '@godwit/contract/schemas/compute/aggregates';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { fileRoutes } from './image/files.ts';
import { imageRoutes } from './image/images.ts';
import { memberRoutes } from './image/members.ts';
import { registerImage } from './image/plugin.ts';
import { networkServiceRoutes, registerNetwork } from './network/plugin.ts';
import { allocationRoutes } from './placement/allocations.ts';
import { candidateRoutes } from './placement/candidates.ts';
import { registerPlacement } from './placement/plugin.ts';
import { providerRoutes } from './placement/providers.ts';
import type { ServiceRoute } from './serve-routes.ts';
import { startTestApi, type TestApi } from './test-api.ts';
import { bodiesNear } from './testing/bodies-near.ts';

let server: TestServer;
let api: TestApi;
let imageDir: string;
const known: Record<string, string> = { alias: 'net-mtu', class: 'VCPU', tag: 't', member: 'p2' };
beforeAll(async () => {
  server = await startTestServer();
  const { db } = await server.database();
  imageDir = await mkdtemp(join(tmpdir(), 'gw-fuzz-images-'));
  const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
  api = await startTestApi(db, {
    more: async (app, context) => {
      const options = { checkResponses: true };
      await app.register(async (scope) => registerImage(scope, { ...context, config: { ...context.config, imageDir } }, options), {
        prefix: '/image',
      });
      await app.register(async (scope) => registerNetwork(scope, context, options), { prefix: '/network' });
      await app.register(async (scope) => registerPlacement(scope, { ...context, config: { ...context.config, ...ratios } }, options), {
        prefix: '/placement',
      });
    },
  });
  const post = async (url: string, body: object) => (await api.call('POST', url, { body })).json();
  known['image'] = (await post('/image/v2/images', { name: 'i', disk_format: 'raw', container_format: 'bare', protected: true })).id;
  known['network'] = (await post('/network/v2.0/networks', { network: { name: 'n' } })).network.id;
  known['subnet'] = (await post('/network/v2.0/subnets', { subnet: { network_id: known['network'], cidr: '10.0.0.0/24' } })).subnet.id;
  known['port'] = (await post('/network/v2.0/ports', { port: { network_id: known['network'] } })).port.id;
  known['group'] = (await post('/network/v2.0/security-groups', { security_group: { name: 'g' } })).security_group.id;
  known['rule'] = (
    await post('/network/v2.0/security-group-rules', { security_group_rule: { security_group_id: known['group'], direction: 'ingress' } })
  ).security_group_rule.id;
  known['project'] = api.admin.projectId;
  known['aggregate'] = String((await post('/compute/v2.1/os-aggregates', { aggregate: { name: 'a' } })).aggregate.id);
  known['provider'] = '00000000-0000-4000-8000-000000000001';
  known['consumer'] = known['provider'];
  await db
    .insertInto('host')
    .values({
      id: known['provider'],
      name: 'node1',
      hypervisor_type: 'QEMU',
      address: '10.0.0.1',
      rpc_port: 1,
      reachable: true,
      facts: JSON.stringify(factsFixture()),
    })
    .execute();
});
afterAll(async () => {
  await server.stop();
  await rm(imageDir, { recursive: true, force: true });
});

const services: readonly (readonly [prefix: string, routes: readonly ServiceRoute<never>[]])[] = [
  ['/image', [...imageRoutes, ...fileRoutes, ...memberRoutes]],
  ['/network', networkServiceRoutes],
  ['/placement', [...providerRoutes, ...allocationRoutes, ...candidateRoutes]],
];
const all = services.flatMap(([prefix, routes]) =>
  routes.map((route) => ({ prefix, route, name: `${route.method} ${prefix}${route.path}` })),
);
const pathOf = (path: string) => path.replace(/:(\w+)/g, (_all, name: string) => encodeURIComponent(known[name] ?? 'x'));

async function expectNo500(request: {
  method: 'GET' | 'POST' | 'PUT' | 'PATCH' | 'DELETE';
  url: string;
  payload?: string;
  type?: string;
  version?: string;
}): Promise<void> {
  const before = api.unexpected.length;
  const answer = await api.app.inject({
    method: request.method,
    url: request.url,
    headers: {
      'x-auth-token': api.admin.token,
      'content-type': request.type ?? 'application/json',
      ...(request.version === undefined ? {} : { 'openstack-api-version': request.version }),
    },
    ...(request.payload === undefined ? {} : { payload: request.payload }),
  });
  const unexpected = api.unexpected.slice(before).map((entry) => String((entry as { err?: unknown }).err));
  if (answer.statusCode >= 500 || unexpected.length > 0)
    throw new Error(`${JSON.stringify(request)}: ${answer.statusCode} ${unexpected.join(' ')}`);
}

describe('no body makes a 500', () => {
  const withBody = all.filter(({ route }) => typeof route.body === 'object');
  it.each(withBody.map((one) => [one.name, one] as const))('%s', async (_name, { prefix, route }) => {
    const [type = 'application/json'] = route.bodyTypes ?? [];
    await fc.assert(
      fc.asyncProperty(bodiesNear(route.body as object, Object.values(known)), async (body) =>
        expectNo500({ method: route.method as 'POST', url: prefix + pathOf(route.path), payload: JSON.stringify(body) ?? '', type }),
      ),
      { numRuns: 40 },
    );
  });
  it.each(Object.entries(aggregateActions))('aggregate action %s', async (action, schema) => {
    await fc.assert(
      fc.asyncProperty(bodiesNear(schema, ['node1']), async (body) =>
        expectNo500({
          method: 'POST',
          url: `/compute/v2.1/os-aggregates/${known['aggregate']}/action`,
          payload: JSON.stringify({ [action]: body }),
        }),
      ),
      { numRuns: 40 },
    );
  });
});

describe('no query, path or version makes a 500', () => {
  const keys = [
    'limit',
    'marker',
    'sort',
    'sort_key',
    'sort_dir',
    'name',
    'id',
    'status',
    'visibility',
    'member_status',
    'tag',
    'created_at',
    'size_min',
    'os_hidden',
    'protected',
    'fields',
    'fixed_ips',
    'device_id',
    'network_id',
    'mac_address',
    'page_reverse',
    'shared',
    'resources',
    'required',
    'member_of',
    'in_tree',
    'uuid',
    'project_id',
    'user_id',
    'consumer_type',
    'anything',
  ];
  const values = [
    '',
    '1',
    '-1',
    '99999999999',
    'a',
    'in:a,"b',
    'gt:2020-01-01',
    'gt:',
    'name:asc,id',
    'created_at:desc',
    'true',
    'maybe',
    "'; drop table host; --",
    '\u0000',
    '\ud800',
    '漢',
    'VCPU:1',
    'VCPU:9999999999',
    '!X',
    'in:X,Y',
    'ip_address=10.0.0.2',
    '__proto__',
    'a'.repeat(5000),
    '00000000-0000-4000-8000-000000000001',
  ];
  const queries = fc.array(fc.tuple(fc.constantFrom(...keys), fc.constantFrom(...values)), { maxLength: 4 });
  it.each(all.filter(({ route }) => route.method === 'GET').map((one) => [one.name, one] as const))(
    '%s',
    async (_name, { prefix, route }) => {
      await fc.assert(
        fc.asyncProperty(
          queries,
          fc.option(fc.constantFrom(...values), { freq: 3 }),
          fc.constantFrom('1.0', '1.10', '1.14', '1.27', '1.39'),
          async (query, odd, version) => {
            const path = odd === null ? pathOf(route.path) : route.path.replace(/:(\w+)/g, encodeURIComponent(odd.toWellFormed()));
            await expectNo500({
              method: 'GET',
              url: `${prefix}${path}?${new URLSearchParams(query.map(([key, value]): [string, string] => [key, value])).toString()}`,
              version: `placement ${version}`,
            });
          },
        ),
        { numRuns: 40 },
      );
    },
  );
  it.each(all.filter(({ route }) => route.path.includes(':')).map((one) => [one.name, one] as const))(
    'odd ids: %s',
    async (_name, { prefix, route }) => {
      for (const odd of values.filter((value) => value !== '')) {
        const method = route.method as 'GET';
        await expectNo500({
          method,
          url: prefix + route.path.replace(/:(\w+)/g, encodeURIComponent(odd.toWellFormed())),
          ...(method === 'GET' ? {} : { payload: '{}' }),
        });
      }
    },
  );
});

it('leaves everything as it was known', async () => {
  for (const path of [
    `/image/v2/images/${known['image']}`,
    `/network/v2.0/networks/${known['network']}`,
    `/placement/resource_providers/${known['provider']}`,
  ]) {
    expect([path, (await api.call('GET', path)).statusCode]).toEqual([path, 200]);
  }
});
