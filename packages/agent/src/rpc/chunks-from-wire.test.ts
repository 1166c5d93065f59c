import { createServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import { setTimeout as delay } from 'node:timers/promises';
import { createClient } from '@connectrpc/connect';
import { connectNodeAdapter, createConnectTransport } from '@connectrpc/connect-node';
import { Peer } from '@godwit/contract/gen/agent_pb';
import { expect, test } from 'vitest';
import { chunksFromWire } from './chunks-from-wire.ts';

test('a small disk is whole, however late it is read', async () => {
  const file = { offset: 0n, data: Buffer.alloc(4096, 7), fileBytes: 4096n };
  const server = createServer(
    connectNodeAdapter({
      routes: (router) =>
        void router.service(Peer, {
          async *readDisk() {
            yield file;
            yield { offset: 4096n, data: new Uint8Array(), fileBytes: 4096n };
          },
        }),
    }),
  ).listen(0, '127.0.0.1');
  const sessions: ServerHttp2Session[] = [];
  server.on('session', (session) => sessions.push(session));
  try {
    await new Promise((done) => server.once('listening', done));
    const { port } = server.address() as AddressInfo;
    const client = createClient(Peer, createConnectTransport({ httpVersion: '2', baseUrl: `http://127.0.0.1:${port}` }));
    const chunks = chunksFromWire(() => client.readDisk({ migrationId: 'm', diskId: 'root' }));
    // What a host's storage takes for a directory; an answer that was asked for at once is over by then.
    await delay(100);
    const read = [];
    for await (const { offset, data } of chunks) read.push([offset, data.length]);
    expect(read).toEqual([
      [0, 4096],
      [4096, 0],
    ]);
  } finally {
    for (const session of sessions) session.destroy();
    server.close();
  }
});
