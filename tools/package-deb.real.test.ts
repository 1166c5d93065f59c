import { type ChildProcess, execFile, spawn } from 'node:child_process';
import { randomInt } from 'node:crypto';
import { once } from 'node:events';
import { chmod, mkdtemp, open, readFile, rm, rmdir, writeFile } from 'node:fs/promises';
import { createServer } from 'node:net';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { packageDeb } from './package-deb.ts';

const run = promisify(execFile);

/** Installs the package on this machine for the length of the test, and purges it. */
describe('the Debian package', () => {
  let directory: string;
  let installed = false;
  beforeAll(async () => {
    directory = await mkdtemp(path.join(tmpdir(), 'gw-deb-'));
    const known = await run('dpkg-query', ['--show', 'godwit']).catch(() => null);
    if (known !== null) throw new Error('a godwit package is installed on this machine already');
    const file = await packageDeb(directory);
    installed = true;
    await run('dpkg', ['-i', file]);
  }, 180_000);
  afterAll(async () => {
    if (installed) await run('dpkg', ['--purge', 'godwit']);
    await rm(directory, { recursive: true, force: true });
  }, 60_000);

  it('installs the command, the units, and configuration that holds no other’s eyes', async () => {
    expect((await run('/usr/bin/godwit', ['--version'])).stdout).toMatch(/^godwit \d/);
    // The client, from its one file.
    expect((await run('/usr/bin/godwit', ['host', '--help'])).stdout).toContain('drain');
    expect((await run('stat', ['-c', '%a %s', '/usr/lib/godwit/client.cjs'])).stdout).toMatch(/^755 \d{6}/);
    expect((await run('stat', ['-c', '%a %U:%G', '/etc/godwit/controller.yaml'])).stdout.trim()).toBe('640 root:godwit');
    for (const unit of ['godwit-controller', 'godwit-agent'])
      expect(await readFile(`/lib/systemd/system/${unit}.service`, 'utf8')).toContain(
        `ExecStart=/usr/bin/godwit ${unit.slice('godwit-'.length)}`,
      );
  });

  it('has units that systemd takes whole, hardened as far as their work allows', async () => {
    const systemd = await run('systemd-analyze', ['--version']).catch(() => null);
    for (const [unit, exposed] of [
      ['godwit-controller', 20],
      ['godwit-agent', 70],
    ] as const) {
      const file = `/lib/systemd/system/${unit}.service`;
      // Custody's rule 10 needs it; in another section systemd ignores it, with a word on the error stream and an exit code of 0.
      expect(await readFile(file, 'utf8')).toMatch(/^\[Unit\]\n[^[]*^StartLimitIntervalSec=0$/m);
      if (systemd === null) continue;
      const { stderr } = await run('systemd-analyze', ['verify', '--man=no', file]);
      expect(stderr.split('\n').filter((line) => line.includes('godwit'))).toEqual([]);
      await run('systemd-analyze', ['security', '--offline=true', `--threshold=${exposed}`, file]);
    }
  });

  it('says of the lab that it belongs to a checkout', async () => {
    await expect(run('/usr/bin/godwit', ['lab', 'up'])).rejects.toMatchObject({
      code: 1,
      stderr: expect.stringContaining('run from a checkout'),
    });
  });

  it('ends an agent without a token with one sentence and what to do, so that its unit does not start it again', async () => {
    const config = path.join(directory, 'agent.yaml');
    const installed = await readFile('/etc/godwit/agent.yaml', 'utf8');
    await writeFile(config, installed.replaceAll('/var/lib/godwit', directory).replaceAll('/etc/godwit', directory));
    await expect(run('/usr/bin/godwit', ['agent', '--config', config])).rejects.toMatchObject({
      code: 2,
      stderr: expect.stringMatching(
        /^godwit agent: .*join-token'?: put what `godwit host add node1` prints into the file of joinTokenFile\n$/,
      ),
    });
    expect(await readFile('/lib/systemd/system/godwit-agent.service', 'utf8')).toContain('RestartPreventExitStatus=2');
  });

  it('runs a controller with its own database, dashboard included, and leaves nothing running', async () => {
    const port = await freePort();
    // As docs/installation.md has it: the controller's own user, below the directory that is meant for it.
    await chmod(directory, 0o755);
    const config = path.join(directory, 'controller.yaml');
    const stateDir = path.join('/var/lib/godwit/controller', path.basename(directory));
    const user = ['--reuid=godwit', '--regid=godwit', '--init-groups', '/usr/bin/godwit', 'controller'];
    await writeFile(
      config,
      [
        `stateDir: ${stateDir}`,
        `listen: {address: 127.0.0.1, port: ${port}}`,
        `publicUrl: http://127.0.0.1:${port}`,
        'agentListen: {address: 127.0.0.1, port: 0, names: [127.0.0.1]}',
        '',
      ].join('\n'),
    );
    let controller: ChildProcess | undefined;
    try {
      const { stdout } = await run('setpriv', [...user, 'bootstrap', '--config', config]);
      expect(stdout).toMatch(/^user admin, project admin, password \S+\n/);
      expect((await run('setpriv', [...user, 'bootstrap', '--config', config])).stdout).toBe(
        'the cloud has users already; nothing was changed\n',
      );
      const log = await open(path.join(directory, 'log'), 'w');
      controller = spawn('setpriv', [...user, '--config', config], { stdio: ['ignore', log.fd, log.fd] });
      await log.close();
      expect(await (await answer(`http://127.0.0.1:${port}/healthz`, controller, directory)).text()).toContain('ok');
      expect(await (await answer(`http://127.0.0.1:${port}/`, controller, directory)).text()).toContain('<div id="root">');
    } finally {
      if (controller !== undefined) {
        const gone = controller.exitCode === null && controller.signalCode === null ? once(controller, 'exit') : null;
        controller.kill('SIGTERM');
        await gone;
      }
      await run('setpriv', [...user, 'stop-database', '--config', config]);
      await rm(stateDir, { recursive: true, force: true });
      for (const empty of ['/var/lib/godwit/controller', '/var/lib/godwit']) await rmdir(empty).catch(() => {});
    }
  }, 120_000);
});

async function answer(url: string, controller: ChildProcess, directory: string): Promise<Response> {
  const until = performance.now() + 60_000;
  for (;;) {
    try {
      return await fetch(url);
    } catch (error) {
      const isGone = controller.exitCode !== null || controller.signalCode !== null;
      if (isGone || performance.now() > until) {
        const { exitCode, signalCode } = controller;
        const log = await readFile(path.join(directory, 'log'), 'utf8');
        throw new Error(`${url} does not answer; exit ${exitCode}, signal ${signalCode}, log: ${log.slice(-3_000)}`, { cause: error });
      }
      await delay(100);
    }
  }
}

/** Below those that the kernel gives to whoever asks for any, so that nobody gets it meanwhile. */
async function freePort(): Promise<number> {
  for (let turn = 0; turn < 100; turn += 1) {
    const port = randomInt(20_000, 30_000);
    const isFree = await new Promise<boolean>((resolve) => {
      const probe = createServer();
      probe.once('error', () => resolve(false));
      probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
    });
    if (isFree) return port;
  }
  throw new Error('no free port from 20000 to 29999');
}
