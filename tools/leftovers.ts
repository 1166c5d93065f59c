import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';

/** What tests must not leave behind: named network namespaces, the processes of QEMU and PostgreSQL, and their directories of scratch, as they are at this moment. */
export function leftovers(): ReadonlySet<string> {
  const namespaces = listed('/run/netns').map((name) => `namespace ${name}`);
  const directories = ['/tmp', '/dev/shm'].flatMap((place) =>
    listed(place)
      .filter((name) => name.startsWith('gw'))
      .map((name) => join(place, name)),
  );
  const processes = listed('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const words = commandLine(pid);
      const [program = ''] = words;
      const name = program.slice(program.lastIndexOf('/') + 1);
      // The directory tells whose it is: a machine may have several checkouts and labs.
      if (name === 'postgres') return [`${name} ${pid} of ${words[words.indexOf('-D') + 1] ?? ''}`];
      return name.startsWith('qemu-system') ? [`${name} ${pid} ${words[words.indexOf('-name') + 1] ?? ''}`] : [];
    });
  return new Set([...namespaces, ...directories, ...processes]);
}

/** What has come since `before` and stays: what is on its way out gets `graceMs` for it. */
export async function leftSince(before: ReadonlySet<string>, graceMs: number): Promise<readonly string[]> {
  for (const until = performance.now() + graceMs; ; await delay(100)) {
    const left = [...leftovers()].filter((item) => !before.has(item));
    if (left.length === 0 || performance.now() > until) return left;
  }
}

function listed(directory: string): readonly string[] {
  try {
    return readdirSync(directory);
  } catch {
    return [];
  }
}

function commandLine(pid: string): readonly string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, 'utf8').split('\0');
  } catch {
    // The process ended between the listing and now.
    return [];
  }
}
