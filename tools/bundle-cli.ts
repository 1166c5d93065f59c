/**
 * Bundles the client into one file that needs nothing but Node 24: `node tools/bundle-cli.ts [FILE]`, by default packages/cli/dist/godwit.cjs.
 * Prints the file and its size.
 */
import { chmod, readFile, stat } from 'node:fs/promises';
import path from 'node:path';
import { fileURLToPath } from 'node:url';
import { build } from 'esbuild';

const root = path.resolve(path.dirname(fileURLToPath(import.meta.url)), '..');

/** Resolves once `file` is there, executable. Rejects with esbuild's own words when the client cannot be bundled. */
export async function bundleCli(file: string): Promise<void> {
  const { version } = JSON.parse(await readFile(path.join(root, 'packages/cli/package.json'), 'utf8')) as { readonly version: string };
  await build({
    entryPoints: [path.join(root, 'packages/cli/src/standalone.ts')],
    outfile: file,
    bundle: true,
    platform: 'node',
    // An ES module would read every export of each of Node's own modules that it imports, and so load most of them.
    format: 'cjs',
    target: 'node24',
    minify: true,
    legalComments: 'eof',
    define: { GODWIT_VERSION: JSON.stringify(version) },
    banner: { js: '#!/usr/bin/env node' },
    logLevel: 'warning',
  });
  await chmod(file, 0o755);
}

if (process.argv[1] === fileURLToPath(import.meta.url)) {
  const file = path.resolve(process.argv[2] ?? path.join(root, 'packages/cli/dist/godwit.cjs'));
  await bundleCli(file);
  console.log(`${path.relative(process.cwd(), file)}  ${Math.round((await stat(file)).size / 1024)} KiB`);
}
