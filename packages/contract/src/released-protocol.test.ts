import { execFile } from 'node:child_process';
import { cp, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { afterEach, describe, expect, it } from 'vitest';
import { releasedProtocolFile, releasedService } from './testing/released-protocol.ts';

const run = promisify(execFile);
const contract = fileURLToPath(new URL('..', import.meta.url));
const buf = fileURLToPath(new URL('../../../node_modules/.bin/buf', import.meta.url));
let directory: string | null = null;
afterEach(async () => {
  if (directory !== null) await rm(directory, { recursive: true, force: true });
});

/** What is breaking in a protocol, a line each; empty when nothing is. Offline: the released one is a file. */
const breaking = (against: string): Promise<string> =>
  run(buf, ['breaking', '--against', fileURLToPath(releasedProtocolFile)], { cwd: against, env: { ...process.env, HOME: tmpdir() } }).then(
    () => '',
    (error: Error & { readonly stdout?: string }) => error.stdout ?? error.message,
  );

describe('the protocol between controllers and agents', () => {
  it('keeps what was released: agents and controllers are upgraded one after the other', async () => {
    expect(await breaking(contract)).toBe('');
    // What was released is more than a handful of calls: it is the right file.
    expect(releasedService('godwit.agent.v1.Agent')?.methods.length).toBeGreaterThan(25);
  });

  it('a call that is taken away and a field with another meaning are found', async () => {
    directory = await mkdtemp(join(tmpdir(), 'godwit-proto-'));
    await cp(join(contract, 'proto'), join(directory, 'proto'), { recursive: true });
    await cp(join(contract, 'buf.yaml'), join(directory, 'buf.yaml'));
    const file = join(directory, 'proto/godwit/agent/v1/agent.proto');
    const text = await readFile(file, 'utf8');
    await writeFile(file, text.replace(/^ {2}rpc Supersede.*\n/m, '').replace('bool hard = 2;', 'string hard = 2;'));
    const found = await breaking(directory);
    expect(found).toContain('Supersede');
    expect(found).toContain('"hard"');
  });
});
