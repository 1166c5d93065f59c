import { create } from '@bufbuild/protobuf';
import { type ConsoleChunk, ConsoleChunkSchema } from '@godwit/contract/gen/agent_pb';
import Fastify, { type FastifyInstance } from 'fastify';
import { pino } from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { AgentClient, Agents } from '../../../agents/agents.ts';
import type { AppContext } from '../../../app-context.ts';
import { issueConsoleToken } from '../../../auth/console-token.ts';
import { startTestServer, type TestServer } from '../../../store/test-database.ts';
import { startTestCloud, type TestCloud } from '../../compute/test-cloud.ts';
import type { TestUser } from '../../test-api.ts';
import { closeCodes } from './close-codes.ts';
import { consoleSockets } from './console-sockets.ts';

let server: TestServer;
let cloud: TestCloud;
let member: TestUser;
let app: FastifyInstance;
let base: string;
/** What each host's agent was asked, oldest first. */
const asked: string[] = [];

/** An agent whose guest's console says where it is, once a tenth of a second. */
function fakeAgents(names: ReadonlyMap<string, string>): Agents {
  const client = (host: string) => ({
    async *followConsole(
      { from }: { readonly from?: { readonly epoch: bigint; readonly offset: bigint } },
      { signal }: { readonly signal: AbortSignal },
    ): AsyncGenerator<ConsoleChunk> {
      const name = names.get(host) ?? '';
      asked.push(`${name} follow ${from === undefined ? 'the end' : `${from.epoch}-${from.offset}`}`);
      for (let offset = Number(from?.offset ?? 0n) + 1; !signal.aborted; offset += 1) {
        yield create(ConsoleChunkSchema, { data: Buffer.from(`${name} ${offset}\n`), position: { epoch: 7n, offset: BigInt(offset) } });
        await new Promise((resolve) => setTimeout(resolve, 20));
      }
    },
    writeConsole: async ({ data }: { readonly data: Uint8Array }) => {
      asked.push(`${names.get(host) ?? ''} write ${Buffer.from(data).toString()}`);
      return {};
    },
  });
  return { client: async (host) => client(host) as unknown as AgentClient, forget: () => {}, close: async () => {} };
}

async function listening(): Promise<FastifyInstance> {
  const made = Fastify();
  const agents = fakeAgents(new Map(Object.entries(cloud.hosts).map(([name, id]) => [id, name])));
  consoleSockets(made, { db: cloud.db, agents, log: pino({ level: 'silent' }) } as unknown as AppContext);
  await made.listen({ host: '127.0.0.1', port: 0 });
  return made;
}

const addressOf = (of: FastifyInstance): string => of.listeningOrigin.replace('http', 'ws');

beforeAll(async () => {
  server = await startTestServer();
  cloud = await startTestCloud((await server.database()).db);
  member = await cloud.user('member');
  app = await listening();
  base = addressOf(app);
});
afterAll(async () => {
  await app.close();
  await server.stop();
});

const ask = async (id: string, as: TestUser, console = { protocol: 'serial', type: 'serial' }, microversion = '2.6') =>
  cloud.call('POST', `/compute/v2.1/servers/${id}/remote-consoles`, { as, microversion, body: { remote_console: console } });

it('gives the URL of a console to whoever may act on the server, and to nobody else', async () => {
  const id = await cloud.server(member);
  const answer = await ask(id, member);
  expect(answer.statusCode).toBe(200);
  expect(answer.json().remote_console).toMatchObject({ protocol: 'serial', type: 'serial' });
  expect(answer.json().remote_console.url).toMatch(/^ws:\/\/.*\/godwit\/v1\/consoles\?token=[\w.-]+$/);
  expect((await ask(id, await cloud.user('member'))).statusCode).toBe(404);
  expect((await ask(id, await cloud.user('reader', member.projectId))).statusCode).toBe(403);
  expect((await ask(id, cloud.admin)).statusCode).toBe(200);
  expect((await ask(id, member, { protocol: 'vnc', type: 'novnc' })).json().badRequest.message).toContain('Unavailable console type novnc');
  expect((await ask(id, member, { protocol: 'spice', type: 'spice-html5' })).statusCode).toBe(400);
  expect((await ask(id, member, { protocol: 'serial', type: 'serial' }, '2.5')).statusCode).toBe(404);
  expect((await ask(await cloud.server(member, { host_id: null }), member)).statusCode).toBe(409);
});

it.each(['', 'forged', '…token of the compute API…'])('closes a socket whose token does not hold: %j', async (given) => {
  const token = given.startsWith('…') ? member.token : given;
  const socket = new WebSocket(`${base}/godwit/v1/consoles?token=${token}`);
  const code = await new Promise<number>((resolve) => {
    socket.onclose = (event) => resolve(event.code);
  });
  expect(code).toBe(closeCodes.refused);
});

it('answers every other upgrade with 404', async () => {
  const socket = new WebSocket(`${base}/godwit/v1/events`);
  const end = await new Promise<string>((resolve) => {
    socket.onerror = () => resolve('refused');
    socket.onopen = () => resolve('opened');
  });
  expect(end).toBe('refused');
});

it('does not hold up a controller that stops', async () => {
  const other = await listening();
  const token = await issueConsoleToken(cloud.db, { serverId: await cloud.server(member), kind: 'serial', userId: member.userId });
  const socket = new WebSocket(`${addressOf(other)}/godwit/v1/consoles?token=${token}`);
  const closed = new Promise<void>((resolve) => {
    socket.onclose = () => resolve();
  });
  await new Promise<void>((resolve) => {
    socket.onmessage = () => resolve();
  });
  await other.close();
  await closed;
  expect(socket.readyState).toBe(socket.CLOSED);
});

it('follows the server from host to host by the place in its log, and ends when it is deleted', async () => {
  const id = await cloud.server(member);
  const token = await issueConsoleToken(cloud.db, { serverId: id, kind: 'serial', userId: member.userId });
  const socket = new WebSocket(`${base}/godwit/v1/consoles?token=${token}&events=1`);
  socket.binaryType = 'arraybuffer';
  let text = '';
  const told: string[] = [];
  let wake = (): void => {};
  let code = 0;
  socket.onmessage = (event) => {
    const data: unknown = event.data;
    if (typeof data === 'string') told.push(data);
    else text += Buffer.from(data as ArrayBuffer).toString();
    wake();
  };
  socket.onclose = (event) => {
    ({ code } = event);
    wake();
  };
  const until = async (holds: () => boolean): Promise<void> => {
    while (!holds())
      await new Promise<void>((resolve) => {
        wake = resolve;
      });
  };
  await until(() => text.includes('node1 3\n'));
  socket.send('a');
  socket.send('b');
  await until(() => asked.includes('node1 write b'));
  await cloud.db.updateTable('server').set({ host_id: cloud.hosts.node2 }).where('id', '=', id).execute();
  await until(() => /node2 \d+\n.*node2 \d+\n/s.test(text));
  socket.send('c');
  await until(() => asked.includes('node2 write c'));
  const numbers = [...text.matchAll(/node\d (\d+)\n/g)].map((match) => Number(match[1]));
  expect(numbers).toEqual(numbers.map((_, index) => index + 1));
  const lastOnFirst = [...text.matchAll(/node1 (\d+)\n/g)].at(-1)?.[1];
  expect(asked).toContain(`node2 follow 7-${lastOnFirst}`);
  expect(asked.filter((one) => one.includes('write'))).toEqual(['node1 write a', 'node1 write b', 'node2 write c']);
  expect(told.filter((one) => one.includes('host'))).toEqual(['node1', 'node2'].map((name) => JSON.stringify({ kind: 'host', name })));
  await cloud.db.updateTable('server').set({ deleted_at: new Date() }).where('id', '=', id).execute();
  await until(() => code !== 0);
  expect(code).toBe(closeCodes.gone);
});
