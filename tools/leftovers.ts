import { readdirSync, readFileSync } from 'node:fs';

/** What tests must not leave behind: named network namespaces and the processes of QEMU and PostgreSQL, as they are at this moment. */
export function leftovers(): ReadonlySet<string> {
  const namespaces = listed('/run/netns').map((name) => `namespace ${name}`);
  const processes = listed('/proc')
    .filter((name) => /^\d+$/.test(name))
    .flatMap((pid) => {
      const [program = ''] = commandLine(pid);
      const name = program.slice(program.lastIndexOf('/') + 1);
      return name.startsWith('qemu-system') || name === 'postgres' ? [`${name} ${pid}`] : [];
    });
  return new Set([...namespaces, ...processes]);
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
