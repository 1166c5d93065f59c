import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface LockEntry {
  readonly version?: string;
  readonly integrity?: string;
  readonly optional?: boolean;
  readonly os?: readonly string[];
  readonly cpu?: readonly string[];
  readonly libc?: readonly string[];
}

interface Lockfile {
  readonly packages: Readonly<Record<string, LockEntry>>;
}

/**
 * The paths in which node_modules differs from the lock file, empty when it is complete. `installed` is the record npm writes into
 * node_modules as the last act of an installation, so that an interrupted one shows as everything missing. Optional packages for
 * other platforms, and what only they need, are not expected.
 */
export function differingModules(locked: Lockfile, installed: Lockfile): readonly string[] {
  return Object.entries(locked.packages)
    .filter(([path, entry]) => path.startsWith('node_modules/') && isWanted(entry))
    .filter(([path, entry]) => {
      const found = installed.packages[path];
      if (found === undefined) return true;
      return found.version !== entry.version || found.integrity !== entry.integrity;
    })
    .map(([path]) => path);
}

function isWanted(entry: LockEntry): boolean {
  // An optional package that names no platform is the dependency of one that does.
  if (entry.optional === true && entry.os === undefined && entry.cpu === undefined) return false;
  const allows = (allowed: readonly string[] | undefined, actual: string) =>
    allowed === undefined || allowed.includes(actual) || (allowed.every((name) => name.startsWith('!')) && !allowed.includes(`!${actual}`));
  return allows(entry.os, 'linux') && allows(entry.cpu, 'x64') && allows(entry.libc, 'glibc');
}

if (import.meta.main) {
  const root = fileURLToPath(new URL('..', import.meta.url));
  const read = (path: string) => JSON.parse(readFileSync(join(root, path), 'utf8')) as Lockfile;
  let differing: readonly string[];
  try {
    differing = differingModules(read('package-lock.json'), read('node_modules/.package-lock.json'));
  } catch (error) {
    differing = [error instanceof Error ? error.message : String(error)];
  }
  if (differing.length > 0) {
    process.stderr.write(`node_modules differs from package-lock.json in: ${differing.join(', ')}\n`);
    process.exitCode = 1;
  }
}
