import { spawn } from 'node:child_process';
import { GodwitError } from '@godwit/domain/errors';

/** nftables as this host's network namespace sees it. */
export type Nft = {
  /** One transaction: all of it, or nothing. Throws GodwitError NetworkSetupFailed with nft's own words. */
  run(lines: readonly string[]): Promise<void>;
  /** The JSON answers of several `list` commands; terse: without the elements of sets. Throws as `run` does when one of them finds nothing. */
  list(commands: readonly string[], options?: { readonly terse: boolean }): Promise<readonly unknown[]>;
};

const timeoutMs = 10_000;

/** `prefix` runs it elsewhere, e.g. `['ip', 'netns', 'exec', 'node1']`; none: in the namespace of this process. */
export const nftables = (prefix: readonly string[] = []): Nft => ({
  run: async (lines) => {
    if (lines.length > 0) await run([...prefix, 'nft', '-f', '-'], lines);
  },
  // Interactive, because several lists in one command line fail on one that is empty (nft 1.0.6).
  list: async (commands, options) => {
    const answers = (await run([...prefix, 'nft', '-j', ...(options?.terse ? ['-t'] : []), '-i'], commands))
      .split('\n')
      .filter((line) => line !== '');
    return answers.map((line) => JSON.parse(line) as unknown);
  },
});

function run(command: readonly string[], lines: readonly string[]): Promise<string> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, {
      stdio: ['pipe', 'pipe', 'pipe'],
      timeout: timeoutMs,
      killSignal: 'SIGKILL',
      env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
    });
    let out = '';
    let said = '';
    child.stdout.setEncoding('utf8').on('data', (text: string) => {
      out += text;
    });
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      said += text;
    });
    const failed = (why: string, cause?: unknown): void =>
      reject(new GodwitError('NetworkSetupFailed', `${command.join(' ')}: ${why}`, { said }, cause === undefined ? {} : { cause }));
    child.once('error', (error: NodeJS.ErrnoException) =>
      failed(error.code === 'ENOENT' ? 'nft is not installed: the networks of guests need the package nftables' : error.message, error),
    );
    // It ended early: its exit tells why.
    child.stdin.on('error', () => undefined).end(`${lines.join('\n')}\n`);
    child.once('close', (code, signal) => {
      if (code === 0 && said === '') resolve(out);
      else failed(said.trim().split('\n')[0] || `it ended with ${signal ?? code}`);
    });
  });
}
