/** The client alone, as the one bundled file that `tools/bundle-cli.ts` makes: for machines that only talk to a cloud. */
import { main } from './main.ts';

declare const GODWIT_VERSION: string;

const argv = process.argv.slice(2);
if (argv[0] === '--version' || argv[0] === '-V') process.stdout.write(`godwit ${GODWIT_VERSION}\n`);
else process.exitCode = await main(argv.length === 0 ? ['--help'] : argv);
