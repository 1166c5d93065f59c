import { once } from 'node:events';
import { createServer } from 'node:http2';
import { type AddressInfo, connect, createServer as createRelay, type Socket } from 'node:net';
import { Http2SessionManager } from '@connectrpc/connect-node';
import { guardSessions } from '@godwit/contract/rpc/guarded-sessions';
import { afterEach, beforeEach, expect, it } from 'vitest';

const server = createServer();
server.on('stream', (stream) => {
  stream.on('error', () => {});
  stream.respond();
});
const portOf = (listener: { address(): string | AddressInfo | null }): number => (listener.address() as AddressInfo).port;

const sockets: Socket[] = [];
const relay = createRelay((socket) => {
  const onward = connect(portOf(server), '127.0.0.1');
  for (const one of [socket, onward]) sockets.push(one.on('error', () => {}));
  socket.pipe(onward).pipe(socket);
});
/** A host that hangs: what is sent is taken by its kernel, and answered by nobody. */
const hang = (): void => {
  for (const socket of sockets) socket.unpipe().pause();
};

const uncaught: Error[] = [];
const note = (error: Error): void => void uncaught.push(error);
let others: NodeJS.UncaughtExceptionListener[];
beforeEach(async () => {
  others = process.listeners('uncaughtException');
  process.removeAllListeners('uncaughtException');
  process.on('uncaughtException', note);
  for (const listener of [server, relay]) await once(listener.listen(0, '127.0.0.1'), 'listening');
});
afterEach(async () => {
  process.removeListener('uncaughtException', note);
  for (const listener of others) process.on('uncaughtException', listener);
  for (const socket of sockets) socket.destroy();
  relay.close();
  server.close();
});

it('a call made in the moment in which a silent connection fails goes over a new one, and ends nothing', async () => {
  const manager = new Http2SessionManager(`http://127.0.0.1:${portOf(relay)}`, { pingIntervalMs: 30, pingTimeoutMs: 60 });
  const sessions = guardSessions(manager);
  const call = () => sessions.request('POST', '/', {}, {});
  const first = await call();
  await once(first, 'response');
  hang();
  const old = first.session;
  const ended = new Promise<void>((resolve) => {
    old?.on('close', resolve);
    process.once('uncaughtException', () => resolve());
  });
  const again = Promise.withResolvers<Awaited<ReturnType<typeof call>>>();
  first.on('error', () => void call().then(again.resolve, again.reject));
  const second = await again.promise;
  await once(second, 'response');
  await ended;
  expect(uncaught).toEqual([]);
  expect(second.session === old).toBe(false);
  second.on('error', () => {});
  manager.abort();
});
