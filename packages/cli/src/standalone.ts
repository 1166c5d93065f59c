/** The client alone, as the one bundled file that `tools/bundle-cli.ts` makes: for machines that only talk to a cloud. */
import { main } from './main.ts';

declare const GODWIT_VERSION: string;

/** No `await` at the top: the bundle is a CommonJS module, which starts faster than an ES module. */
async function start(argv: readonly string[]): Promise<void> {
  if (argv[0] === '--version' || argv[0] === '-V') process.stdout.write(`godwit ${GODWIT_VERSION}\n`);
  else process.exitCode = await main(argv.length === 0 ? ['--help'] : argv);
}

void start(process.argv.slice(2));
