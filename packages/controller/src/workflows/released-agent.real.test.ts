import { randomUUID } from 'node:crypto';
import { create } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import { Agent } from '@godwit/contract/gen/agent_pb';
import { asReleased, releasedMethod } from '@godwit/contract/testing/released-protocol';
import pino from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import { agentFailure } from '../agents/agent-error.ts';
import type { AgentClient, Agents } from '../agents/agents.ts';
import { createMetrics } from '../metrics.ts';
import type { Database } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { type Engine, startWorkflowEngine } from './engine.ts';
import { fakeAgents } from './testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from './testing/fake-cloud.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
let engine: Engine;
beforeAll(async () => {
  postgres = await startTestServer();
  database = await postgres.database();
  cloud = await fakeCloud(database);
  engine = await startWorkflowEngine({
    config: {
      executorName: 'new',
      limits: { outgoingPerHost: 1, incomingPerHost: 1, total: 100, preparedAhead: 0 },
      cpuAllocationRatio: 4,
      ramAllocationRatio: 1,
      diskAllocationRatio: 1,
    },
    database,
    agents: releasedAgents(fakeAgents(cloud.hosts)),
    metrics: createMetrics({ process: false }),
    log: pino({ level: 'silent' }),
    heartbeatMs: 50,
    deadAfterMs: 400,
  });
}, 60_000);
afterAll(async () => {
  await engine.stop();
  await cloud.stop();
  await postgres.stop();
});

/** The same agents as the released program would be: it knows neither later calls nor later fields, in what it is told and in what it says. */
const releasedAgents = (agents: Agents): Agents => ({ ...agents, client: async (id) => released(await agents.client(id)) });

function released(client: AgentClient): AgentClient {
  return new Proxy(client, {
    get: (target, name) => {
      const method = Agent.methods.find(({ localName }) => localName === name);
      if (method === undefined) return Reflect.get(target, name) as unknown;
      if (releasedMethod(Agent.typeName, method.localName) === undefined)
        return () => Promise.reject(new ConnectError(`${method.name} is not implemented`, Code.Unimplemented));
      const call = Reflect.get(target, name) as unknown as (request: unknown, options: unknown) => unknown;
      return (request: Record<string, unknown>, options: unknown) => {
        const answer = call(asReleased(method.input, create(method.input, request)), options);
        return method.methodKind === 'unary'
          ? (answer as Promise<Record<string, unknown>>).then((message) => asReleased(method.output, message))
          : answer;
      };
    },
  });
}

const row = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();

it('a released agent serves this controller: servers start, move live and cold, stop and go', async () => {
  const id = await cloud.server(engine, 'node1');
  const order = { host: 'node2', blockMigration: 'auto', force: false, checksBeforeAnswer: false } as const;
  const live = await engine.operations.liveMigrate(cloud.admin, id, order);
  await until(async () => (await row(live)).finished_at !== null);
  expect(await row(live)).toMatchObject({
    status: 'completed',
    outcome: { cause: null, runsOn: 'destination' },
    measures: { blackoutMs: 12 },
  });
  const cold = await engine.operations.migrate(cloud.admin, id, { host: 'node3' });
  await until(async () => (await row(cold)).status === 'finished');
  await engine.operations.revertResize(cloud.admin, id);
  await until(async () => (await row(cold)).finished_at !== null);
  expect(await row(cold)).toMatchObject({ status: 'reverted' });
  const server = () => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  await until(async () => (await server()).task_state === null);
  await engine.operations.stop(cloud.admin, id);
  await until(async () => (await server()).vm_state === 'stopped' && (await server()).task_state === null);
  await engine.operations.delete(cloud.admin, id);
  await until(async () => (await server()).deleted_at !== null);
});

it('what it does not know it refuses, and is not asked for again and again', async () => {
  const host = cloud.hosts[0];
  if (host === undefined) throw new Error('no host');
  const client = await releasedAgents(fakeAgents(cloud.hosts)).client(host.id);
  const failure = await client.readLogs({ words: [] }).then(() => null, agentFailure);
  expect(failure).toMatchObject({ kind: 'refused', code: 'NotImplemented', message: expect.stringContaining('upgrade it') });
});

it('a guest of a VLAN is not started by one: it would be among all the others', async () => {
  const [node1] = cloud.hosts;
  const id = await cloud.server(engine, 'node1');
  const server = () => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  await engine.operations.stop(cloud.admin, id);
  await until(async () => (await server()).vm_state === 'stopped' && (await server()).task_state === null);
  const [network, port] = [randomUUID(), randomUUID()];
  await database.db.insertInto('network').values({ id: network, name: 'blue', project_id: 'p1', vlan: 101 }).execute();
  await database.db
    .insertInto('port')
    .values({
      id: port,
      network_id: network,
      server_id: id,
      project_id: 'p1',
      name: '',
      mac: 'fa:16:3e:01:02:04',
      fixed_ips: '[]',
      allowed_address_pairs: '[]',
      device_index: 0,
    } as never)
    .execute();
  const starts = () => node1?.calls.filter(({ call }) => call === 'startGuest').length;
  const before = starts();
  await engine.operations.start(cloud.admin, id);
  await until(async () => (await server()).task_state === null);
  expect([(await server()).vm_state, starts()]).toEqual(['stopped', before]);
  const events = await database.db.selectFrom('instance_action_event').selectAll().execute();
  expect(JSON.stringify(events)).toMatch(/does not say that its guest bridge carries VLANs/);
});
