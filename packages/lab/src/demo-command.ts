import path from 'node:path';
import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ApiFailure } from './cloud/openstack-client.ts';
import { down } from './commands/down.ts';
import { defaultLabDir, labDirectory } from './commands/lab-directory.ts';
import { up } from './commands/up.ts';
import { renderClosing, renderMoves } from './demo/render-demo.ts';
import { runDemo } from './demo/run-demo.ts';
import { LabError } from './lab-error.ts';

const usage = `Usage: godwit demo [--moves 5] [--dir ${defaultLabDir}] [--json] [--exit]

Starts a cloud of three hosts on this machine unless one runs, and live-migrates a busy guest between them while clients hold
connections to it. --json prints one object; --exit takes the cloud down at the end.
`;

const options = {
  moves: { type: 'string', default: '5' },
  dir: { type: 'string', default: defaultLabDir },
  json: { type: 'boolean', default: false },
  exit: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsConfig['options'];

/** `godwit demo`. Resolves to 0 when every move was a success, 1 when not or when the demo could not go on, 2 for wrong usage. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await run(argv);
  } catch (error) {
    if (!(error instanceof LabError || error instanceof ApiFailure)) throw error;
    process.stderr.write(`godwit demo: ${error.message}${error instanceof LabError ? ` [${error.code}]` : ''}\n`);
    return error instanceof LabError && error.code === 'BAD_ARGUMENT' ? 2 : 1;
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const values = parse(argv);
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const moves = Number(values.moves);
  if (!/^\d+$/.test(values.moves) || moves < 1 || moves > 1000)
    throw new LabError('BAD_ARGUMENT', `--moves must be a whole number from 1 to 1000, not "${values.moves}"`);
  const directory = await labDirectory(values.dir);
  const started = performance.now();
  // With --json, standard output belongs to the one object.
  const say = (text: string): void => void (values.json ? process.stderr : process.stdout).write(text);
  const note = (line: string): void => say(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${line}\n`);
  let lastLine = '';
  try {
    const { plan, admin } = await up({
      directory,
      hosts: undefined,
      port: undefined,
      simulatedHosts: undefined,
      faultInjection: false,
      note,
    });
    const { report, guests } = await runDemo({
      plan,
      admin,
      moves,
      note,
      onProgress: (index, record) => {
        const line = `move ${index + 1} of ${moves + 1}: ${record.source} → ${record.destination || '?'}  ${record.phase}`;
        if (line !== lastLine) note(line);
        lastLine = line;
      },
    });
    if (values.json) process.stdout.write(`${JSON.stringify(report)}\n`);
    else {
      say(`\n${renderMoves([...report.migrations, ...(report.blockMigration === null ? [] : [report.blockMigration])])}\n`);
      for (const problem of report.problems) say(`PROBLEM: ${problem}\n`);
      if (!values.exit) {
        const otherHost = plan.hosts.find((host) => host.name !== guests[0]?.host)?.name ?? 'node2';
        // `make demo` links the file into the checkout right after this program ends.
        const linked = values.dir === defaultLabDir && process.env.MAKELEVEL !== undefined;
        const openrc = linked ? 'openrc.sh' : path.join(values.dir, 'openrc.sh');
        say(
          renderClosing({
            url: plan.publicUrl,
            admin,
            openrc,
            guests,
            otherHost,
            downCommand: `bin/godwit lab down${values.dir === defaultLabDir ? '' : ` --dir ${values.dir}`}`,
          }),
        );
      }
    }
    return report.ok ? 0 : 1;
  } finally {
    if (values.exit) await down(directory, () => {});
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, strict: true }).values;
  } catch (cause) {
    throw new LabError('BAD_ARGUMENT', `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`, { cause });
  }
}
