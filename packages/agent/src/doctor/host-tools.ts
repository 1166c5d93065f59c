import { execFile } from 'node:child_process';
import { connect, createServer } from 'node:net';
import { promisify } from 'node:util';

/** What the examination of a host asks the machine; a test answers in its place. */
export type HostTools = {
  /** Standard output of a program; rejects when it is not there or exits non-zero. */
  readonly run: (program: string, args: readonly string[]) => Promise<string>;
  /** Whether an address and port can be listened on now, and the system's word when not (EADDRINUSE, EADDRNOTAVAIL …). */
  readonly canListen: (address: string, port: number) => Promise<string | null>;
  /** Whether somebody answers there. Null: yes. */
  readonly canConnect: (address: string, port: number) => Promise<string | null>;
};

const runFile = promisify(execFile);
const connectMs = 3_000;

export const hostTools: HostTools = {
  run: async (program, args) =>
    (await runFile(program, [...args], { timeout: 20_000, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } }))
      .stdout,
  canListen: (address, port) =>
    new Promise((resolve) => {
      const server = createServer();
      server.once('error', (error: NodeJS.ErrnoException) => resolve(error.code ?? error.message));
      server.listen({ host: address, port, exclusive: true }, () => server.close(() => resolve(null)));
    }),
  canConnect: (address, port) =>
    new Promise((resolve) => {
      const socket = connect({ host: address, port, timeout: connectMs });
      const answer = (word: string | null): void => {
        socket.destroy();
        resolve(word);
      };
      socket.once('connect', () => answer(null));
      socket.once('timeout', () => answer('no answer within 3 s'));
      socket.once('error', (error: NodeJS.ErrnoException) => answer(error.code ?? error.message));
    }),
};
