import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';

const run = promisify(execFile);
const repository = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');
export const godwit = path.join(repository, 'bin', 'godwit');

/** A lab of its own for one test file, beside any other lab on the machine. */
export type Lab = {
  readonly dir: string;
  readonly url: string;
  /** Debian's client as an operator types it: one command line, admin's openrc sourced. Rejects when it exits non-zero. */
  readonly openstack: (commandLine: string, options?: { readonly as?: 'admin' | 'demo' }) => Promise<string>;
  /** The same with `-f json`, parsed. */
  readonly openstackJson: <Answer>(commandLine: string, options?: { readonly as?: 'admin' | 'demo' }) => Promise<Answer>;
  readonly down: () => Promise<void>;
};

/** Brings a lab up (a minute at the most); `down` clears it, whatever has failed in between. */
export async function labUp(hosts = 3): Promise<Lab> {
  const dir = await mkdtemp(path.join(tmpdir(), 'gwe2e-'));
  const down = async (): Promise<void> => {
    await run(godwit, ['lab', 'down', '--dir', dir], { timeout: 60_000 });
    await rm(dir, { recursive: true, force: true });
  };
  try {
    await run(godwit, ['lab', 'up', '--dir', dir, '--hosts', String(hosts)], { timeout: 120_000 });
    const { stdout } = await run(godwit, ['lab', 'status', '--dir', dir, '--json'], { timeout: 20_000 });
    const { url } = JSON.parse(stdout) as { readonly url: string };
    const openstack: Lab['openstack'] = async (commandLine, { as = 'admin' } = {}) => {
      const openrc = path.join(dir, as === 'admin' ? 'openrc.sh' : 'openrc-demo.sh');
      const result = await run('bash', ['-c', `source "$0" && openstack ${commandLine}`, openrc], {
        timeout: 120_000,
        maxBuffer: 16 * 1024 * 1024,
      });
      return result.stdout.trim();
    };
    return {
      dir,
      url,
      openstack,
      openstackJson: async (commandLine, options) => JSON.parse(await openstack(`${commandLine} -f json`, options)),
      down,
    };
  } catch (error) {
    await down().catch(() => {});
    throw error;
  }
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
  }
}
