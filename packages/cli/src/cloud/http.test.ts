import { createServer, type Server } from 'node:http';
import type { AddressInfo, Socket } from 'node:net';
import { Readable } from 'node:stream';
import { afterEach, beforeEach, describe, expect, it, vi } from 'vitest';
import { HttpError, type Request, send, succeeded } from './http.ts';

describe('a request', () => {
  let server: Server;
  let url: string;
  let seen: { readonly method: string; readonly socket: Socket; readonly type: string | undefined; readonly body: string }[];
  /** What becomes of the next request whose body is there: true, if its connection is cut without an answer. */
  let cut: () => boolean;
  beforeEach(async () => {
    [seen, cut] = [[], () => false];
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        seen.push({ method: request.method ?? '', socket: request.socket, type: request.headers['content-type'], body });
        if (cut()) request.socket.resetAndDestroy();
        else response.setHeader('content-type', 'application/json').end('{"said":"grüß Gott"}');
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}/x`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });
  const ask = (over: Partial<Request> = {}) => send({ method: 'GET', url, headers: {}, ...over });

  it('keeps its connection, and opens another when the cloud has closed that one', async () => {
    expect((await ask()).body).toEqual({ said: 'grüß Gott' });
    await ask();
    expect(seen[1]?.socket).toBe(seen[0]?.socket);
    let cuts = 0;
    cut = () => (cuts += 1) === 1;
    expect((await ask()).status).toBe(200);
    expect(seen).toHaveLength(4);
  });

  it('never sends a change twice', async () => {
    await ask();
    cut = () => true;
    await expect(ask({ method: 'POST', body: { start: true } })).rejects.toThrow(/^No answer from http:.*hang up|ECONNRESET/);
    expect(seen.filter(({ method }) => method === 'POST')).toHaveLength(1);
  });

  it('sends what it is given: JSON, bytes, a stream', async () => {
    await ask({ method: 'POST', body: { a: 'ü' } });
    await ask({ method: 'PUT', body: new TextEncoder().encode('bytes'), headers: { 'content-type': 'text/plain' } });
    await ask({ method: 'PUT', body: Readable.from([Buffer.from('st'), Buffer.from('ream')]) });
    expect(seen.map(({ body, type }) => [type, body])).toEqual([
      ['application/json', '{"a":"ü"}'],
      ['text/plain', 'bytes'],
      [undefined, 'stream'],
    ]);
  });

  it('takes no redirection for done', async () => {
    const answer = { status: 308, headers: { location: 'https://cloud.example/x' }, body: null };
    expect(() => succeeded(answer)).toThrow(
      'The cloud points elsewhere, to https://cloud.example/x (HTTP 308), and does not say that this was done.',
    );
    expect(succeeded({ ...answer, status: 204 }).status).toBe(204);
  });

  it('does not wait for ever for one that says nothing', async () => {
    const hung = createServer(() => undefined);
    await new Promise<void>((resolve) => hung.listen(0, '127.0.0.1', resolve));
    try {
      const silent = { method: 'GET', url: `http://127.0.0.1:${(hung.address() as AddressInfo).port}/`, headers: {} } as const;
      await expect(send(silent, { connectMs: 1_000, idleMs: 50 })).rejects.toThrow('nothing was heard for 0.05 s');
    } finally {
      hung.closeAllConnections();
      hung.close();
    }
  });

  it('sends a change through the proxy that the environment names, where it is to be heeded', async () => {
    const proxied: string[] = [];
    const proxy = createServer((request, response) => {
      proxied.push(request.url ?? '');
      response.end();
    });
    await new Promise<void>((resolve) => proxy.listen(0, '127.0.0.1', resolve));
    vi.stubEnv('NODE_USE_ENV_PROXY', '1');
    vi.stubEnv('http_proxy', `http://127.0.0.1:${(proxy.address() as AddressInfo).port}`);
    try {
      await ask({ method: 'POST', url: 'http://cloud.example/x' });
      expect(proxied).toEqual(['http://cloud.example/x']);
    } finally {
      vi.unstubAllEnvs();
      proxy.closeAllConnections();
      proxy.close();
    }
  });

  it.each([
    [400, 'Compute host node9 could not be found.', '`godwit host list`'],
    [404, 'Migration x could not be found.', '`godwit migration list`'],
    [409, "Cannot 'confirmResize' instance i while it is in vm_state active", '`godwit server show SERVER`'],
    [409, 'Host node1 is not fenced. Fence it, or confirm that it is dead ("confirmedDead").', '--confirmed-dead'],
    [403, 'Policy does not allow this to be performed.', '`godwit role assignment list'],
    [503, 'away', 'look before it is repeated'],
  ])('%i %s: says what to do next', (status, message, next) => {
    expect(new HttpError(status, message, '', '').next).toContain(next);
  });

  it('says who did not answer, and why', async () => {
    server.close();
    server.closeAllConnections();
    await expect(ask()).rejects.toThrow(/^No answer from http:\/\/127\.0\.0\.1:\d+: connect ECONNREFUSED/);
    await expect(ask({ url: 'ftp://127.0.0.1/' })).rejects.toThrow('ftp: is neither http: nor https:');
  });
});
