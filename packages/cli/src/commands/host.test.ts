import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { afterEach, beforeEach, describe, expect, it } from 'vitest';
import { runProgram } from '../program.ts';
import { commands } from './host.ts';

describe('whole hosts', () => {
  let server: Server;
  let url: string;
  /** What was asked of Godwit's own API, with its body. */
  let posted: string[];
  beforeEach(async () => {
    posted = [];
    server = createServer((request, response) => {
      let body = '';
      request.on('data', (chunk: Buffer) => (body += chunk.toString()));
      request.on('end', () => {
        response.setHeader('content-type', 'application/json');
        if (request.url?.endsWith('/auth/tokens') === true) {
          const catalog = [{ type: 'godwit', endpoints: [{ interface: 'public', region: 'R', url: `${url}/godwit/v1` }] }];
          response.writeHead(201, { 'x-subject-token': 't' });
          response.end(JSON.stringify({ token: { expires_at: '2999-01-01T00:00:00Z', user: { id: 'u' }, roles: [], catalog } }));
          return;
        }
        posted.push(`${request.url} ${body}`);
        response.end(JSON.stringify({ plan: { complete: true, moves: [], excluded: [] }, operation: { id: 'o', items: [] } }));
      });
    });
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  });
  afterEach(() => {
    server.closeAllConnections();
    server.close();
  });

  const godwit = async (line: string): Promise<{ readonly code: number; readonly err: string }> => {
    let err = '';
    const code = await runProgram(commands, line.split(' '), {
      out: () => {},
      err: (text) => void (err += text),
      isTerminal: false,
      columns: 80,
      env: { OS_AUTH_URL: `${url}/identity/v3`, OS_USERNAME: 'u', OS_PASSWORD: 'p' },
      interrupted: new AbortController().signal,
    });
    return { code, err };
  };

  it.each(['drain', 'maintenance', 'rolling'])('`host %s --dry-run` begins nothing, and needs no reason', async (kind) => {
    expect(await godwit(`host ${kind} node1 node2 --dry-run`)).toEqual({ code: 0, err: '' });
    expect(posted.length).toBeGreaterThan(0);
    for (const one of posted) expect(one).toMatch(/^\/godwit\/v1\/plans .*"kind":"drain"/);
  });

  it('begins with the reason, and not without', async () => {
    const refused = await godwit('host drain node1');
    expect(refused).toMatchObject({ code: 2, err: expect.stringContaining('--reason is missing') });
    expect(posted).toEqual([]);
    expect((await godwit('host rolling node1 --reason disks')).code).toBe(0);
    expect(posted).toEqual([expect.stringMatching(/^\/godwit\/v1\/operations .*"kind":"rolling".*"reason":"disks"/)]);
  });
});
