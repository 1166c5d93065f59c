import { access, constants, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import type { DatabaseUser } from './unprivileged-user.ts';

/** How to start a program as the database's user. */
export type RunAs = { readonly command: string; readonly args: readonly string[]; readonly uid?: number; readonly gid?: number };

/**
 * A way to run `program` as `user` so that it reaches every one of `paths`. As root with a directory on the way that others may not enter (a checkout under
 * /root, say), the program keeps the one capability to search directories and read files; it stays unprivileged otherwise. Rejected: opening
 * /root to everybody, or copying the database elsewhere.
 */
export async function runAs(user: DatabaseUser, program: string, args: readonly string[], paths: readonly string[]): Promise<RunAs> {
  if (process.getuid?.() !== 0) return { command: program, args };
  const closed = await firstClosedDirectory(paths);
  if (closed === null) return { command: program, args, uid: user.uid, gid: user.gid };
  const setpriv = '/usr/bin/setpriv';
  await access(setpriv, constants.X_OK).catch((error: unknown) => {
    throw new Error(
      `the directory ${closed} keeps PostgreSQL (running as ${user.name}) out, and setpriv (util-linux) is not there to let it pass`,
      { cause: error },
    );
  });
  return {
    command: setpriv,
    args: [
      '--reuid',
      String(user.uid),
      '--regid',
      String(user.gid),
      '--clear-groups',
      '--inh-caps',
      '-all,+dac_read_search',
      '--ambient-caps',
      '+dac_read_search',
      program,
      ...args,
    ],
  };
}

async function firstClosedDirectory(paths: readonly string[]): Promise<string | null> {
  for (const path of paths) {
    for (let directory = dirname(path); ; directory = dirname(directory)) {
      const { mode } = await stat(directory);
      if ((mode & 0o001) === 0) return directory;
      if (directory === dirname(directory)) break;
    }
  }
  return null;
}
