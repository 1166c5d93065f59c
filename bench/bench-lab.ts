import { execFile } from 'node:child_process';
import { mkdtemp, readFile, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { promisify } from 'node:util';
import type { Credentials } from '@godwit/lab/cloud/openstack-client';
import { type LabPlan, readLabPlan } from '@godwit/lab/lab-plan';
import { parseOpenrc } from '@godwit/lab/openrc';

const run = promisify(execFile);
const godwit = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..', 'bin', 'godwit');

/** Runs `use` with a lab of its own, and takes that down whatever happens. */
export async function withLab<Result>(
  use: (lab: { readonly plan: LabPlan; readonly admin: Credentials }) => Promise<Result>,
): Promise<Result> {
  const dir = await mkdtemp(path.join(tmpdir(), 'gwbench-'));
  try {
    await run(godwit, ['lab', 'up', '--dir', dir], { timeout: 180_000 });
    const plan = await readLabPlan(dir);
    const admin = parseOpenrc(await readFile(path.join(dir, 'openrc'), 'utf8'));
    if (plan === undefined || admin === undefined) throw new Error(`the lab in ${dir} left no plan or no credentials`);
    return await use({ plan, admin });
  } finally {
    await run(godwit, ['lab', 'down', '--dir', dir], { timeout: 60_000 });
    await rm(dir, { recursive: true, force: true });
  }
}
