import { execFile } from 'node:child_process';
import { cp, mkdtemp, readdir, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import { lastWords } from '@godwit/contract/testing/last-words';
import { startOpenstackClient } from '@godwit/contract/testing/openstack-client';

const run = promisify(execFile);
const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const godwit = path.join(repository, 'bin', 'godwit');

/** Between two looks: asking a controller and a client without a pause takes the processor that what is waited for needs. */
const LOOK_EVERY_MS = 50;
const COMMAND_MS = 120_000;

/** A lab of its own for one test file, beside any other lab on the machine. */
export type Lab = {
  readonly dir: string;
  readonly url: string;
  /** Debian's client as an operator types it, admin's openrc sourced; its words may be quoted. Rejects when it exits non-zero. */
  readonly openstack: (commandLine: string, options?: { readonly as?: 'admin' | 'demo' }) => Promise<string>;
  /** The same with `-f json`, parsed. */
  readonly openstackJson: <Answer>(commandLine: string, options?: { readonly as?: 'admin' | 'demo' }) => Promise<Answer>;
  readonly down: () => Promise<void>;
};

/**
 * Brings a lab up (a minute at the most); `down` clears it, whatever has failed in between. `typed`: every command is a shell's with the openrc sourced and the client
 * loaded anew; otherwise the client is loaded once, and forked for each command.
 */
export async function labUp(hosts = 3, options: { readonly typed?: boolean } = {}): Promise<Lab> {
  const dir = await mkdtemp(path.join(tmpdir(), 'gwe2e-'));
  const client = startOpenstackClient(dir);
  const down = async (): Promise<void> => {
    client.stop();
    await clearLab(dir);
  };
  try {
    await run(godwit, ['lab', 'up', '--dir', dir, '--hosts', String(hosts)], { timeout: 120_000 });
    const { stdout } = await run(godwit, ['lab', 'status', '--dir', dir, '--json'], { timeout: 20_000 });
    const { url } = JSON.parse(stdout) as { readonly url: string };
    const openrc = { admin: path.join(dir, 'openrc.sh'), demo: path.join(dir, 'openrc-demo.sh') };
    const environments = { admin: await sourced(openrc.admin), demo: await sourced(openrc.demo) };
    const typed = async (commandLine: string, as: 'admin' | 'demo'): Promise<string> => {
      const script = `source "$0" && openstack ${commandLine}`;
      return (await run('bash', ['-c', script, openrc[as]], { timeout: COMMAND_MS, maxBuffer: 16 * 1024 * 1024 })).stdout;
    };
    const openstack: Lab['openstack'] = async (commandLine, { as = 'admin' } = {}) =>
      (await (options.typed === true ? typed(commandLine, as) : client.run(commandLine, environments[as]))).trim();
    return {
      dir,
      url,
      openstack,
      openstackJson: async (commandLine, options) => JSON.parse(await openstack(`${commandLine} -f json`, options)),
      down,
    };
  } catch (error) {
    const words = await wordsOfLab(dir);
    await down().catch(() => {});
    throw new Error(`the lab did not come up: ${error instanceof Error ? error.message : String(error)}\n${words}`, { cause: error });
  }
}

/** The end of every log that a lab has written. */
async function wordsOfLab(dir: string): Promise<string> {
  const logs = await readdir(path.join(dir, 'logs')).catch(() => []);
  const texts = await Promise.all(logs.map(async (name) => `-- ${name}:\n${await lastWords(path.join(dir, 'logs', name), 8)}`));
  return texts.join('\n');
}

/** Ends the lab and keeps its logs under .cache/test/logs. Throws when one of its processes has ended by itself: those that tests kill end by a signal, not with an exit code. */
export async function clearLab(dir: string): Promise<void> {
  await run(godwit, ['lab', 'down', '--dir', dir], { timeout: 60_000 });
  const kept = path.join(repository, '.cache', 'test', 'logs', path.basename(dir));
  await cp(path.join(dir, 'logs'), kept, { recursive: true }).catch(() => {});
  const supervisor = await readFile(path.join(kept, 'supervisor.log'), 'utf8').catch(() => '');
  await rm(dir, { recursive: true, force: true });
  const crashes = supervisor.split('\n').filter((line) => /ended \(exit /.test(line));
  if (crashes.length > 0) throw new Error(`ended by themselves (logs in ${kept}): ${crashes.join('; ')}`);
}

/** What sourcing an openrc file sets, as a shell does it. */
async function sourced(openrc: string): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await run('env', ['-i', 'bash', '-c', 'source "$0" && env -0', openrc], { env: { PATH: process.env['PATH'] } });
  const set = stdout.split('\0').map((line) => [line.slice(0, line.indexOf('=')), line.slice(line.indexOf('=') + 1)] as const);
  return Object.fromEntries(set.filter(([name]) => name.startsWith('OS_')));
}

/** Resolves with the first value that satisfies; rejects with the last one seen when the deadline has passed. */
export async function eventually<Value>(
  look: () => Promise<Value>,
  satisfies: (value: Value) => boolean,
  deadlineMs: number,
): Promise<Value> {
  const until = performance.now() + deadlineMs;
  for (;;) {
    const value = await look();
    if (satisfies(value)) return value;
    if (performance.now() > until) throw new Error(`not so within ${deadlineMs} ms; last seen: ${JSON.stringify(value)}`);
    await delay(LOOK_EVERY_MS);
  }
}
