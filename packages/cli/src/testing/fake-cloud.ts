import { createServer, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';
import type { Command } from '../command.ts';
import type { Json } from '../json.ts';
import { runProgram } from '../program.ts';

/** What one command line did, and what it wrote. */
export interface Ran {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

export interface FakeCloud {
  /** What was asked of it after signing in: `POST /compute/v2.1/servers {…}`. */
  readonly asked: readonly string[];
  readonly godwit: (line: string, on?: { readonly columns?: number; readonly interrupted?: AbortSignal }) => Promise<Ran>;
  readonly close: () => void;
}

/**
 * A cloud on loopback that signs anybody in and gives what `answer` says to everything else, asked at this microversion of compute (null: 404), and a client of it with these commands.
 * With `columns` the client's output is a terminal of that width.
 */
export async function fakeCloud(commands: readonly Command[], answer: (asked: string, version: string) => Json): Promise<FakeCloud> {
  const asked: string[] = [];
  const end = (response: ServerResponse, status: number, body: Json): void => {
    response.setHeader('content-type', 'application/json');
    response.writeHead(status, { 'x-subject-token': 't' });
    response.end(JSON.stringify(body));
  };
  const server = createServer((request, response) => {
    let body = '';
    request.on('data', (chunk: Buffer) => (body += chunk.toString()));
    request.on('end', () => {
      if (request.url?.endsWith('/auth/tokens') === true) {
        const endpoints = (path: string): Json => [{ interface: 'public', region: 'R', url: `${url}/${path}` }];
        const catalog = [
          { type: 'godwit', endpoints: endpoints('godwit/v1') },
          { type: 'compute', endpoints: endpoints('compute/v2.1') },
        ];
        end(response, 201, { token: { expires_at: '2999-01-01T00:00:00Z', user: { id: 'u' }, roles: [], catalog } });
        return;
      }
      const line = `${request.method} ${request.url} ${body}`.trim();
      asked.push(line);
      const said = answer(line, String(request.headers['x-openstack-nova-api-version'] ?? ''));
      end(response, said === null ? 404 : 200, said ?? { itemNotFound: { code: 404, message: 'not here' } });
    });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  return {
    asked,
    godwit: async (line, on = {}) => {
      const written = { out: '', err: '' };
      const code = await runProgram(commands, line.split(' '), {
        out: (text) => void (written.out += text),
        err: (text) => void (written.err += text),
        isTerminal: on.columns !== undefined,
        columns: on.columns ?? 80,
        env: { OS_AUTH_URL: `${url}/identity/v3`, OS_USERNAME: 'u', OS_PASSWORD: 'p' },
        interrupted: on.interrupted ?? new AbortController().signal,
      });
      return { code, ...written };
    },
    close: () => {
      server.closeAllConnections();
      server.close();
    },
  };
}
