import { execFile } from 'node:child_process';
import { createHash } from 'node:crypto';
import { access, mkdir, readFile, rename, rm } from 'node:fs/promises';
import path from 'node:path';
import { promisify } from 'node:util';
import { repositoryRoot } from '../guest/build-image.ts';

const run = promisify(execFile);
const source = path.resolve(import.meta.dirname, '../../reaper/reaper.c');

/** The compiled reaper, built when its source changed; undefined where there is no compiler: the lab runs without it, only orphans are reaped later. */
export async function buildReaper(): Promise<string | undefined> {
  const digest = createHash('sha256')
    .update(await readFile(source))
    .digest('hex')
    .slice(0, 16);
  const binary = path.join(repositoryRoot, '.cache', 'reaper', digest);
  const scratch = `${binary}.${process.pid}`;
  try {
    await access(binary).catch(async () => {
      await mkdir(path.dirname(binary), { recursive: true });
      await run('gcc', ['-Os', '-std=gnu11', '-Wall', '-Wextra', '-s', '-o', scratch, source]);
      await rename(scratch, binary);
    });
    return binary;
  } catch {
    await rm(scratch, { force: true });
    return undefined;
  }
}
