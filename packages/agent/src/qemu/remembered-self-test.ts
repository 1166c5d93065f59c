import { readFile, rename, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { SelfTestResult } from './self-test.ts';

export type RememberedSelfTestOptions = {
  readonly stateDir: string;
  /** The host's, as the agent knows it: after a boot everything is proven anew. */
  readonly bootId: string;
  /** Whatever else the results hold for: QEMU's capabilities, the agent's version. */
  readonly holdsFor: object;
  /** Path of the program, found as a shell finds it unless absolute; a replaced one is proven anew. */
  readonly program: string;
  readonly test: () => Promise<readonly SelfTestResult[]>;
};

/**
 * The results of `test`, or those of its last run in which everything worked, when that was under the same boot, program and agent: an agent that is started again beside running
 * guests does not take their processors to prove what has not changed. What did not work is tried again at every start. Throws what `test` throws.
 */
export async function rememberedSelfTest(options: RememberedSelfTestOptions): Promise<readonly SelfTestResult[]> {
  const file = join(options.stateDir, 'self-test.json');
  const key = JSON.stringify([options.bootId, await identityOf(options.program), options.holdsFor]);
  const known = await readFile(file, 'utf8').then(parse, () => null);
  if (known !== null && known.key === key) return known.results;
  const results = await options.test();
  if (results.length > 0 && results.every(({ works }) => works)) {
    // Aside and renamed: an agent that dies here leaves the old record, or none.
    await writeFile(`${file}.new`, JSON.stringify({ key, results }));
    await rename(`${file}.new`, file);
  }
  return results;
}

type Known = { readonly key: string; readonly results: readonly SelfTestResult[] };

function parse(text: string): Known | null {
  try {
    const known = JSON.parse(text) as Partial<Known> | null;
    return known !== null && typeof known.key === 'string' && Array.isArray(known.results) ? (known as Known) : null;
  } catch {
    return null;
  }
}

/** Size and time of the program's file; empty where it is not found, which no record then matches twice by accident: the test itself fails. */
async function identityOf(program: string): Promise<string> {
  const places = program.includes('/') ? [program] : (process.env['PATH'] ?? '').split(':').map((directory) => join(directory, program));
  for (const place of places) {
    const found = await stat(place).catch(() => null);
    if (found?.isFile()) return `${place} ${found.size} ${found.mtimeMs} ${found.ino}`;
  }
  return '';
}
