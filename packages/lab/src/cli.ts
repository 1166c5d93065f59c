import { type ParseArgsConfig, parseArgs } from 'node:util';
import { ApiFailure } from './cloud/openstack-client.ts';
import { down } from './commands/down.ts';
import { defaultLabDir, labDirectory } from './commands/lab-directory.ts';
import { renderStatus, status } from './commands/status.ts';
import { up } from './commands/up.ts';
import { LabError } from './lab-error.ts';
import { mostHosts } from './network/topology.ts';

const usage = `Usage: godwit lab up [--hosts 3] [--dir ${defaultLabDir}] [--port 8774] [--simulated N] [--fault-injection]
       godwit lab status [--dir ${defaultLabDir}] [--json]
       godwit lab down [--dir ${defaultLabDir}]

A cloud of several hosts on this machine: every host is a network namespace with real QEMU guests.
`;

const options = {
  hosts: { type: 'string' },
  dir: { type: 'string', default: defaultLabDir },
  port: { type: 'string' },
  simulated: { type: 'string' },
  'fault-injection': { type: 'boolean', default: false },
  json: { type: 'boolean', default: false },
  help: { type: 'boolean', short: 'h', default: false },
} as const satisfies ParseArgsConfig['options'];

/** `godwit lab …`. Resolves to the exit code: 0 done, 1 failed or refused, 2 wrong usage. What failed is one sentence on stderr. */
export async function main(argv: readonly string[]): Promise<number> {
  try {
    return await run(argv);
  } catch (error) {
    if (error instanceof LabError || error instanceof ApiFailure) {
      process.stderr.write(`godwit lab: ${error.message}${error instanceof LabError ? ` [${error.code}]` : ''}\n`);
      return error instanceof LabError && error.code === 'BAD_ARGUMENT' ? 2 : 1;
    }
    throw error;
  }
}

async function run(argv: readonly string[]): Promise<number> {
  const { values, positionals } = parse(argv);
  if (values.help) {
    process.stdout.write(usage);
    return 0;
  }
  const [command, ...more] = positionals;
  if (more.length > 0) throw new LabError('BAD_ARGUMENT', `"${more.join(' ')}" is too much\n\n${usage}`);
  const directory = await labDirectory(values.dir);
  const started = performance.now();
  const note = (line: string): void => {
    process.stdout.write(`${((performance.now() - started) / 1000).toFixed(1).padStart(5)} s  ${line}\n`);
  };
  switch (command) {
    case 'up': {
      const result = await up({
        directory,
        hosts: count('--hosts', values.hosts, 1, mostHosts),
        port: count('--port', values.port, 1, 65_535),
        simulatedHosts: count('--simulated', values.simulated, 0, 10_000),
        faultInjection: values['fault-injection'],
        note,
      });
      note(result.started ? 'the lab is up' : 'the lab was up already');
      process.stdout.write(
        `\nURL        ${result.plan.publicUrl}\nsign in    source ${values.dir}/openrc.sh   (a plain member: openrc-demo.sh)\nend it     godwit lab down${values.dir === defaultLabDir ? '' : ` --dir ${values.dir}`}\n`,
      );
      return 0;
    }
    case 'status': {
      const lab = await status(directory);
      process.stdout.write(values.json ? `${JSON.stringify(lab, null, 2)}\n` : renderStatus(lab));
      return 0;
    }
    case 'down':
      note((await down(directory, note)) ? 'the lab is down' : `no lab in ${directory.dir}`);
      return 0;
    default:
      throw new LabError(
        'BAD_ARGUMENT',
        `${command === undefined ? 'a command is missing' : `there is no command "${command}"`}\n\n${usage}`,
      );
  }
}

function parse(argv: readonly string[]) {
  try {
    return parseArgs({ args: [...argv], options, allowPositionals: true, strict: true });
  } catch (cause) {
    throw new LabError('BAD_ARGUMENT', `${cause instanceof Error ? cause.message : String(cause)}\n\n${usage}`, { cause });
  }
}

function count(name: string, text: string | undefined, least: number, most: number): number | undefined {
  if (text === undefined) return undefined;
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < least || value > most)
    throw new LabError('BAD_ARGUMENT', `${name} must be a whole number from ${least} to ${most}, not "${text}"`);
  return value;
}
