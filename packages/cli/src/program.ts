import { CommanderError, Option, Command as Program } from 'commander';
import { Cloud } from './cloud/cloud.ts';
import { readCredentials } from './cloud/credentials.ts';
import { tokenCache } from './cloud/token-cache.ts';
import type { Command, CommandOption, Input, Terminal } from './command.ts';
import { CommandError, exitCodes } from './command-error.ts';
import { listOptions, showOptions } from './render/output-options.ts';
import { renderList, renderShow } from './render/render.ts';

/** Options that say which cloud and how to sign in: each is also an environment variable of OpenStack's. */
const cloudOptions: readonly (CommandOption & { readonly variable: string })[] = [
  ['--os-cloud <name>', 'cloud of clouds.yaml', 'OS_CLOUD'],
  ['--os-auth-url <url>', 'address of the identity service', 'OS_AUTH_URL'],
  ['--os-username <name>', 'user', 'OS_USERNAME'],
  ['--os-user-domain-name <name>', 'domain of the user', 'OS_USER_DOMAIN_NAME'],
  ['--os-password <password>', 'password', 'OS_PASSWORD'],
  ['--os-token <token>', 'token', 'OS_TOKEN'],
  ['--os-auth-type <type>', 'password or token', 'OS_AUTH_TYPE'],
  ['--os-project-name <name>', 'project', 'OS_PROJECT_NAME'],
  ['--os-project-id <id>', 'project by id', 'OS_PROJECT_ID'],
  ['--os-project-domain-name <name>', 'domain of the project', 'OS_PROJECT_DOMAIN_NAME'],
  ['--os-region-name <name>', 'region', 'OS_REGION_NAME'],
  ['--os-interface <kind>', 'public, internal or admin', 'OS_INTERFACE'],
  ['--os-cacert <file>', 'certificates to trust', 'OS_CACERT'],
  ['--os-compute-api-version <version>', 'compute microversion', 'OS_COMPUTE_API_VERSION'],
].map(([flags = '', description = '', variable = '']) => ({ flags, description, variable }));

/** The long name of an option: `--os-cloud <name>` → `os-cloud`. */
export const longName = (flags: string): string => /--([a-z0-9-]+)/.exec(flags)?.[1] ?? flags.replaceAll(/[^a-z]/g, '');

/** Every option that a command takes. */
export const optionsOf = (command: Command): readonly CommandOption[] => [
  ...(command.options ?? []),
  ...(command.output === 'list' ? listOptions : command.output === 'show' ? showOptions : []),
];

/**
 * Runs the command that `argv` names and resolves to the exit code of the process. Whatever goes wrong is one sentence on the error
 * stream, with what to do next below it where there is something.
 */
export async function runProgram(commands: readonly Command[], argv: readonly string[], terminal: Terminal): Promise<number> {
  let exitCode: number = exitCodes.ok;
  const named = commandOf(commands, argv);
  const program = programOf(named === null ? commands : [named], terminal, async (command, input) => {
    exitCode = await runCommand(command, input, terminal);
  });
  try {
    await program.parseAsync([...argv], { from: 'user' });
    return exitCode;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? exitCodes.ok : exitCodes.usage;
    throw error;
  }
}

async function runCommand(command: Command, input: Input, terminal: Terminal): Promise<number> {
  try {
    if (command.output === 'offline') {
      await command.run(input, terminal);
      return exitCodes.ok;
    }
    const given = cloudOptions.flatMap((option) => {
      const value = input.text(longName(option.flags));
      return value === null ? [] : [[option.variable, value] as const];
    });
    if (input.flag('insecure')) given.push(['OS_INSECURE', 'true']);
    const cloud = new Cloud(await readCredentials(new Map(given), terminal.env), tokenCache(terminal.env));
    if (command.output === 'list') terminal.out(await renderList(await command.run(cloud, input, terminal), input, terminal));
    else if (command.output === 'show') terminal.out(await renderShow(await command.run(cloud, input, terminal), input, terminal));
    else await command.run(cloud, input, terminal);
    return exitCodes.ok;
  } catch (error) {
    if (!(error instanceof CommandError)) throw error;
    terminal.err(`${error.message}\n${error.next === null ? '' : `${error.next}\n`}`);
    return error.exitCode;
  }
}

/** The command whose words the line begins with, the longest: the others need not be built. Null: help of a group, or a mistake, for which all are. */
function commandOf(commands: readonly Command[], argv: readonly string[]): Command | null {
  const line = `${argv.join(' ')} `;
  const begun = commands.filter(({ words }) => line.startsWith(`${words} `));
  return begun.toSorted((one, other) => other.words.length - one.words.length)[0] ?? null;
}

function programOf(commands: readonly Command[], terminal: Terminal, act: (command: Command, input: Input) => Promise<void>): Program {
  const root = configured(new Program('godwit'), terminal);
  const nodes = new Map<string, Program>([['', root]]);
  const nodeOf = (words: string): Program => {
    const known = nodes.get(words);
    if (known !== undefined) return known;
    const at = words.lastIndexOf(' ');
    const node = configured(nodeOf(words.slice(0, Math.max(0, at))).command(words.slice(at + 1)), terminal);
    nodes.set(words, node);
    return node;
  };
  for (const command of commands) {
    const node = nodeOf(command.words).summary(command.summary).description(command.summary);
    for (const name of command.arguments ?? []) node.argument(name);
    for (const option of [...optionsOf(command), ...cloudOptions])
      node.addOption(
        optionOf(
          option,
          cloudOptions.some((each) => each === option),
        ),
      );
    node.addOption(new Option('--insecure', 'do not verify the cloud’s certificate').hideHelp());
    node.action(async (...given: readonly unknown[]) => {
      // commander hands over the arguments, then the options, then itself.
      const values = given.slice(0, -2);
      await act(command, inputOf(command, values, node.opts()));
    });
  }
  return root;
}

const configured = (program: Program, terminal: Terminal): Program =>
  program
    .exitOverride()
    .allowExcessArguments(false)
    .helpCommand(false)
    .showSuggestionAfterError(true)
    .configureOutput({
      writeOut: terminal.out,
      writeErr: terminal.err,
      outputError: (text, write) => write(text.replace(/^error: /, 'godwit: ')),
    });

function optionOf(option: CommandOption, hidden: boolean): Option {
  const made = new Option(option.flags, option.description);
  if (option.choices !== undefined) made.choices(option.choices);
  if (option.required === true) made.makeOptionMandatory();
  if (option.repeat === true) {
    const check = made.parseArg;
    made.argParser<readonly string[]>((value, previous) => {
      if (check !== undefined) check(value, undefined);
      return [...(Array.isArray(previous) ? previous : []), value];
    });
  }
  return hidden ? made.hideHelp() : made;
}

const camel = (name: string): string => name.replaceAll(/-([a-z0-9])/g, (_, letter: string) => letter.toUpperCase());

function inputOf(command: Command, values: readonly unknown[], options: Readonly<Record<string, unknown>>): Input {
  const names = (command.arguments ?? []).map((each) => each.replaceAll(/[<>[\].]/g, ''));
  // commander takes `--no-x` for the negation of `x`; here it is an option of its own.
  const option = (name: string): unknown =>
    name.startsWith('no-') ? (options[camel(name.slice(3))] === false ? true : undefined) : options[camel(name)];
  const argument = (name: string): unknown => values[names.indexOf(name)];
  const text = (name: string): string | null => {
    const value = option(name);
    return typeof value === 'string' ? value : null;
  };
  return {
    flag: (name) => option(name) === true,
    text,
    integer: (name) => {
      const value = text(name);
      if (value === null) return null;
      if (!/^-?\d{1,15}$/.test(value))
        throw new CommandError(`--${name} takes a whole number, not "${value}".`, { exitCode: exitCodes.usage });
      return Number(value);
    },
    texts: (name) => {
      const value = option(name);
      return Array.isArray(value)
        ? value.filter((each): each is string => typeof each === 'string')
        : typeof value === 'string'
          ? [value]
          : [];
    },
    argument: (name) => {
      const value = argument(name);
      return typeof value === 'string' ? value : '';
    },
    arguments: (name) => {
      const value = argument(name);
      return Array.isArray(value)
        ? value.filter((each): each is string => typeof each === 'string')
        : typeof value === 'string'
          ? [value]
          : [];
    },
  };
}
