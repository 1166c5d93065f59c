import { readFileSync } from 'node:fs';
import { client, commands } from './commands.ts';
import { dispatch } from './dispatch.ts';

const packageJson = JSON.parse(readFileSync(new URL('../package.json', import.meta.url), 'utf8')) as { readonly version: string };

try {
  // The code is set, not forced: output still in a pipe must arrive before the process ends.
  process.exitCode = await dispatch(
    process.argv.slice(2),
    commands,
    packageJson.version,
    {
      out: (text) => process.stdout.write(text),
      err: (text) => process.stderr.write(text),
    },
    client,
  );
} catch (error) {
  process.stderr.write(`godwit: ${error instanceof Error ? (error.stack ?? error.message) : String(error)}\n`);
  process.exitCode = 1;
}
