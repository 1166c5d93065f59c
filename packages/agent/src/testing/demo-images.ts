import { execFile } from 'node:child_process';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { diskImage, kernelImage, ramdiskImage } from './test-guest.ts';

const run = promisify(execFile);
const root = join(import.meta.dirname, '../../../..');

/** The lab's demo guest as images of a test controller; built by its own program, because the agent may not import the lab. */
export async function demoImages(): Promise<Readonly<Record<string, string>>> {
  const { stdout } = await run(process.execPath, [join(root, 'packages/lab/src/guest/build-image.ts')]);
  const image = JSON.parse(stdout) as { readonly kernelPath: string; readonly initrdPath: string; readonly diskPath: string };
  return { [kernelImage]: image.kernelPath, [ramdiskImage]: image.initrdPath, [diskImage]: image.diskPath };
}
