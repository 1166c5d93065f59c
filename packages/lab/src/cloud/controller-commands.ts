import { execFile } from 'node:child_process';
import { readFile } from 'node:fs/promises';
import { promisify } from 'node:util';
import type { ControllerConfig } from '@godwit/contract/config/controller-config';
import type { LabConfig } from '../lab-config.ts';
import { LabError } from '../lab-error.ts';

const run = promisify(execFile);

function controllerFile(config: LabConfig): { readonly file: string; readonly executable: string; readonly content: ControllerConfig } {
  const found = config.files.find(({ content }) => !('hostName' in content));
  const executable = config.plan.processes.find((one) => one.name === 'controller')?.command[0];
  if (found === undefined || executable === undefined) throw new RangeError('the lab has no controller');
  return { file: found.file, executable, content: found.content as ControllerConfig };
}

/** Runs a command of the controller beside the running one, in its namespace: a database server that it starts must live there, or `down` would not find it. */
async function controllerCommand(config: LabConfig, words: readonly string[]): Promise<string> {
  const { file, executable } = controllerFile(config);
  try {
    const { stdout } = await run(
      'ip',
      ['netns', 'exec', config.plan.fabricNamespace, executable, 'controller', ...words, '--config', file],
      { timeout: 60_000, maxBuffer: 1 << 24 },
    );
    return stdout;
  } catch (cause) {
    const words = (cause as { readonly stderr?: string }).stderr?.trim() ?? String(cause);
    throw new LabError('NOT_READY', `the controller refused: ${words}`, { cause });
  }
}

/** Makes the first administrator; its password goes to the file that `bootstrapOutput` names. */
export async function runBootstrap(config: LabConfig): Promise<void> {
  await controllerCommand(config, ['bootstrap']);
}

/** The administrator's password as the bootstrap wrote it. */
export async function readBootstrap(config: LabConfig): Promise<string> {
  const { content } = controllerFile(config);
  const text = await readFile(content.bootstrapOutput ?? '', 'utf8').catch((cause: unknown) => {
    throw new LabError(
      'NOT_READY',
      'this cloud was bootstrapped before, and the password of its admin is gone with openrc.sh; "godwit lab down" and begin anew',
      { cause },
    );
  });
  return text.trim();
}

/** One-time tokens with which these hosts may join, in their order. */
export async function requestJoinTokens(config: LabConfig, hosts: readonly string[]): Promise<readonly string[]> {
  const output = await controllerCommand(config, ['join-token', 'create', ...hosts.flatMap((host) => ['--host', host])]);
  const tokens = output.trim().split('\n');
  if (tokens.length !== hosts.length)
    throw new LabError('NOT_READY', `the controller gave ${tokens.length} join tokens for ${hosts.length} hosts`);
  return tokens;
}
