import { execFile } from 'node:child_process';
import { promisify } from 'node:util';
import { ipBatch } from './ip-batch.ts';

const run = promisify(execFile);

/** The cables: they are hardware. Everything else a host has in its memory only. */
const cables = new Set(['lo', 'mgmt0', 'up0']);

/** Removes what a host's software made in its network (bridges, taps), as a reboot would. */
export async function clearHostLinks(namespace: string): Promise<void> {
  const { stdout } = await run('ip', ['-netns', namespace, '-json', 'link', 'show']);
  const links = JSON.parse(stdout) as readonly { readonly ifname: string }[];
  await ipBatch(
    links.filter((link) => !cables.has(link.ifname)).map((link) => `link delete ${link.ifname}`),
    namespace,
  );
}
