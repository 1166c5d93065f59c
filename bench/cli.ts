import { execFile } from 'node:child_process';
import { mkdtemp, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Credentials } from '@godwit/lab/cloud/openstack-client';
import { openrcComputeVersion } from '@godwit/lab/openrc';
import { bundleCli } from '../tools/bundle-cli.ts';
import { withLab } from './bench-lab.ts';
import { printed, summarise } from './quantiles.ts';

const run = promisify(execFile);
const launcher = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'bin', 'godwit');

/**
 * Wall times of the client beside Debian's `openstack` on one cloud, in turns, each a process of its own as an operator starts it: `--version`, and `server list`.
 * `count`: runs of each. The first of each is not counted: it fills caches.
 */
export async function benchCli(count: number): Promise<unknown> {
  const dir = await mkdtemp(path.join(tmpdir(), 'gwbench-cli-'));
  try {
    const bundled = path.join(dir, 'godwit.cjs');
    await bundleCli(bundled);
    return await withLab(async ({ admin }) => {
      const environment = { PATH: process.env['PATH'] ?? '', HOME: dir, ...openrcOf(admin) };
      const commands: Readonly<Record<string, readonly string[]>> = {
        'openstack server list': ['/usr/bin/openstack', 'server', 'list'],
        'godwit server list': [launcher, 'server', 'list'],
        'bundled server list': [process.execPath, bundled, 'server', 'list'],
        'godwit --version': [launcher, '--version'],
        'bundled --version': [process.execPath, bundled, '--version'],
      };
      const measured: Record<string, number[]> = Object.fromEntries(Object.keys(commands).map((name) => [name, []]));
      for (let round = 0; round <= count; round += 1)
        for (const [name, [file = '', ...argv]] of Object.entries(commands)) {
          const start = performance.now();
          await run(file, argv, { env: environment });
          if (round > 0) measured[name]?.push(performance.now() - start);
        }
      for (const [name, values] of Object.entries(measured)) console.log(`${name.padEnd(24)} ms  ${printed(summarise(values))}`);
      const median = (name: string): number => summarise(measured[name] ?? [])?.median ?? Number.NaN;
      console.log(`godwit / openstack, server list: ${(median('godwit server list') / median('openstack server list')).toFixed(3)}`);
      console.log(`bundled / openstack, server list: ${(median('bundled server list') / median('openstack server list')).toFixed(3)}`);
      return measured;
    });
  } finally {
    await rm(dir, { recursive: true, force: true });
  }
}

const openrcOf = (admin: Credentials): Readonly<Record<string, string>> => ({
  OS_AUTH_URL: admin.authUrl,
  OS_IDENTITY_API_VERSION: '3',
  OS_COMPUTE_API_VERSION: openrcComputeVersion,
  OS_USERNAME: admin.userName,
  OS_PASSWORD: admin.password,
  OS_PROJECT_NAME: admin.projectName,
  OS_USER_DOMAIN_NAME: admin.domainName,
  OS_PROJECT_DOMAIN_NAME: admin.domainName,
});
