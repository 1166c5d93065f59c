import { once } from 'node:events';
import { mkdir, readFile } from 'node:fs/promises';
import { connect, createServer } from 'node:net';
import { expect, it } from 'vitest';
import { systemFailure } from './system-failure.ts';

const failureOf = async (work: () => Promise<unknown>): Promise<string | null> =>
  work().then(
    () => 'it went well',
    (error: unknown) => systemFailure(error),
  );

it('tells what the system refuses in one sentence with what to do', async () => {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as { readonly port: number };
  const second = createServer().listen(port, '127.0.0.1');
  expect(await failureOf(() => once(second, 'listening'))).toBe(
    `127.0.0.1 port ${port} is in use: stop what listens there (ss -tlnp names it), or choose another port`,
  );
  const elsewhere = createServer().listen(0, '192.0.2.1');
  expect(await failureOf(() => once(elsewhere, 'listening'))).toMatch(/^192\.0\.2\.1( port 0)? is none of this machine: /);
  server.close();
  expect(await failureOf(() => once(connect(1, '127.0.0.1'), 'connect'))).toBe(
    'nothing answers at 127.0.0.1 port 1 (ECONNREFUSED): start what should, or correct the address',
  );
});

it.each([
  [
    { code: 'EACCES', path: '/srv/x' },
    '/srv/x may not be used by this user (EACCES): run it as the user that owns it, as its systemd unit does, or change the owner',
  ],
  [
    { code: 'EROFS', path: '/mnt/x' },
    '/mnt/x cannot be written to (EROFS): mount it writable; a systemd unit needs ReadWritePaths= for it',
  ],
  [{ code: '28P01' }, "the database refuses the user (said): correct databaseUrl, or the user's password and pg_hba.conf"],
  [{ code: '3D000' }, 'said: create it (createdb), or correct databaseUrl'],
  [{ code: 'EOTHER' }, null],
  [{}, null],
])('%o', (fields, sentence) => {
  expect(systemFailure(Object.assign(new Error('said'), fields))).toBe(sentence);
  if (sentence !== null) expect(systemFailure(new AggregateError([Object.assign(new Error('said'), fields)]))).toBe(sentence);
});

it('is of no error but these', async () => {
  expect(systemFailure('EACCES')).toBeNull();
  expect(await failureOf(() => readFile('/nonexistent/x'))).toBeNull();
  expect(await failureOf(() => mkdir('/proc/self/status/x'))).toContain('/proc/self/status/x cannot be made (ENOTDIR)');
});
