import { spawn } from 'node:child_process';
import { chmod, mkdtemp, rm, statfs } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';

/** The variable that names the directory of the server that all files of a test run share. */
export const SHARED_SERVER = 'GODWIT_TEST_POSTGRES';

const inMemory = '/dev/shm';
/** The databases of two test files at once are 9 MB each, and the log is at most 256 MB. */
const roomBytes = 2 * 1024 ** 3;

/** A fresh directory that PostgreSQL's user may enter; in memory where there is room: a test's database is written, never kept. */
export async function makeServerDirectory(): Promise<string> {
  const { bavail, bsize } = await statfs(inMemory).catch(() => ({ bavail: 0, bsize: 0 }));
  const directory = await mkdtemp(join(bavail * bsize >= roomBytes ? inMemory : tmpdir(), 'gw-test-pg-'));
  await chmod(directory, 0o755);
  return directory;
}

export async function removeServerDirectory(directory: string): Promise<void> {
  await rm(directory, { recursive: true, force: true });
}

/**
 * Has a shell wait for the end of its input, which comes when this process ends in any way; it then stops the server of the directory, if one runs, and removes the directory.
 * What is returned calls that off.
 */
export function clearWithThisProcess(directory: string): () => void {
  const script = `read -r answer; [ "$answer" = done ] && exit 0
pid=$(head -n 1 '${directory}/data/postmaster.pid' 2>/dev/null)
if [ -n "$pid" ]; then kill -QUIT "$pid"; while kill -0 "$pid" 2>/dev/null; do sleep 0.05; done; fi
rm -rf '${directory}'`;
  const watcher = spawn('/bin/sh', ['-c', script], { detached: true, stdio: ['pipe', 'ignore', 'ignore'] });
  watcher.unref();
  (watcher.stdin as unknown as { unref: () => void }).unref();
  return () => {
    watcher.stdin.end('done\n');
  };
}
