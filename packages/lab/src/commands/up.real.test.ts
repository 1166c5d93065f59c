import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { mkdtemp, readdir, readFile, realpath, rm, stat } from 'node:fs/promises';
import { createConnection } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { promisify } from 'node:util';
import { afterAll, afterEach, beforeAll, expect, test } from 'vitest';
import { repositoryRoot } from '../guest/build-image.ts';
import { labNamespaces } from '../network/network.ts';
import { labDirectory } from './lab-directory.ts';
import type { LabStatus } from './status.ts';

const run = promisify(execFile);
const godwit = path.join(repositoryRoot, 'bin', 'godwit');
let dir: string;

beforeAll(async () => {
  dir = await realpath(await mkdtemp(path.join(tmpdir(), 'gw-lab-up-')));
});
afterEach(async () => {
  await lab('down');
});
afterAll(() => rm(dir, { recursive: true, force: true }));

interface Outcome {
  readonly code: number;
  readonly out: string;
  readonly err: string;
}

/** Runs `godwit lab …` as a person does. */
async function lab(...argv: readonly string[]): Promise<Outcome> {
  return run(godwit, ['lab', ...argv, '--dir', dir], { timeout: 100_000 }).then(
    ({ stdout, stderr }) => ({ code: 0, out: stdout, err: stderr }),
    (error: { readonly code: number; readonly stdout: string; readonly stderr: string }) => ({
      code: error.code,
      out: error.stdout,
      err: error.stderr,
    }),
  );
}
const status = async (): Promise<LabStatus> => JSON.parse((await lab('status', '--json')).out) as LabStatus;
const listens = (url: string): Promise<boolean> =>
  new Promise((resolve) => {
    const { hostname, port } = new URL(url);
    const socket = createConnection(Number(port), hostname, () => resolve(socket.destroy() !== undefined));
    socket.once('error', () => resolve(false));
  });
/** Every process whose command line names the lab, by its directory or by its short way there. */
async function processesOfLab(): Promise<readonly string[]> {
  const { alias } = await labDirectory(dir);
  const found: string[] = [];
  for (const pid of (await readdir('/proc')).filter((name) => /^\d+$/.test(name) && Number(name) !== process.pid)) {
    const words = (await readFile(`/proc/${pid}/cmdline`, 'utf8').catch(() => '')).replaceAll('\0', ' ');
    if (words.includes(alias) || words.includes(`${dir} `)) found.push(words);
  }
  return found;
}

test('up makes a usable cloud, does nothing the second time, and down leaves nothing but logs', async () => {
  expect(await lab('up', '--hosts', '2')).toMatchObject({ code: 0, err: '' });
  const first = await status();
  expect(first).toMatchObject({ answers: true, hosts: ['node1', 'node2'], supervisor: { running: true } });
  for (const name of ['openrc.sh', 'openrc', 'openrc-demo.sh', 'openrc-demo'])
    expect((await stat(path.join(dir, name))).mode & 0o777).toBe(0o600);
  const hosts = await run('bash', [
    '-c',
    `source ${dir}/openrc.sh && openstack hypervisor list -f value -c "Hypervisor Hostname" -c State`,
  ]);
  expect(hosts.stdout.trim().split('\n').toSorted()).toEqual(['metal1 up', 'node1 up', 'node2 up']);
  const member = await run('bash', ['-c', `source ${dir}/openrc-demo.sh && openstack image list -f value -c Name`]);
  expect(member.stdout).toContain('godwit-demo');

  expect(await lab('up')).toMatchObject({ code: 0, out: expect.stringContaining('was up already') });
  expect((await status()).processes).toEqual(first.processes);
  expect(await lab('up', '--hosts', '3')).toMatchObject({ code: 1, err: expect.stringContaining('[ALREADY_RUNNING]') });

  expect((await lab('down')).code).toBe(0);
  expect(await readdir(dir)).toEqual(['logs']);
  expect(await labNamespaces(first.labId)).toEqual([]);
  expect(await processesOfLab()).toEqual([]);
  expect(await listens(first.url)).toBe(false);
  expect(await lab('down')).toMatchObject({ code: 0, out: expect.stringContaining('no lab') });
});

const kill = (pid: number | null | undefined): void => {
  // 0 would be this whole run.
  if (!pid) throw new Error('the lab has no supervisor');
  process.kill(pid, 'SIGKILL');
};

test('a lab whose supervisor was killed is taken over with its port and data by up, and cleared by down', async () => {
  await lab('up', '--hosts', '1');
  const before = await status();
  kill(before.supervisor.pid);
  await expect.poll(async () => (await status()).supervisor.running, { timeout: 15_000 }).toBe(false);
  expect(await lab('up')).toMatchObject({ code: 0 });
  const after = await status();
  expect(after).toMatchObject({ url: before.url, answers: true });
  expect(after.supervisor.pid).not.toBe(before.supervisor.pid);
  kill(after.supervisor.pid);
  expect((await lab('down')).code).toBe(0);
  expect(await labNamespaces(before.labId)).toEqual([]);
  expect(await processesOfLab()).toEqual([]);
});

test('an up that is killed half-way is cleared by down', async () => {
  const half = spawn(godwit, ['lab', 'up', '--dir', dir], { stdio: ['ignore', 'pipe', 'ignore'] });
  await once(half.stdout, 'data');
  half.kill('SIGKILL');
  await once(half, 'close');
  const { labId } = await labDirectory(dir);
  expect((await labNamespaces(labId)).length).toBeGreaterThan(0);
  expect((await lab('down')).code).toBe(0);
  expect(await labNamespaces(labId)).toEqual([]);
  // The supervisor may have been born after the kill: then it finds its plan gone, and ends by itself.
  await expect.poll(processesOfLab, { timeout: 10_000 }).toEqual([]);
});

test('where namespaces are not permitted it says what to do, and writes nothing', async () => {
  const denied = run('setpriv', [
    '--bounding-set=-sys_admin',
    '--inh-caps=-sys_admin',
    godwit,
    'lab',
    'up',
    '--dir',
    path.join(dir, 'denied'),
  ]);
  await expect(denied).rejects.toMatchObject({ code: 1, stderr: expect.stringMatching(/not permitted here: run this as root/) });
  await expect(stat(path.join(dir, 'denied'))).rejects.toMatchObject({ code: 'ENOENT' });
});
