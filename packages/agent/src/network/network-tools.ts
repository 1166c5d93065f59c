import { execFile } from 'node:child_process';
import { GodwitError } from '@godwit/domain/errors';

/** iproute2, and Open vSwitch where it is, as this host's network namespace sees it. */
export type NetworkTools = {
  /** Runs `ip -j …`; returns its parsed answer (null when it prints nothing). */
  ip(...args: readonly string[]): Promise<unknown>;
  /** Runs `bridge -j …`. */
  bridge(...args: readonly string[]): Promise<unknown>;
  /** Runs `ovs-vsctl`, which waits for Open vSwitch until it has done what was asked. */
  vsctl(...args: readonly string[]): Promise<unknown>;
};

const timeoutMs = 10_000;

/** iproute2 or Open vSwitch did not do what it was told; `said` is its own words. */
export class NetworkToolError extends GodwitError {
  readonly said: string;
  constructor(command: string, said: string, cause: unknown) {
    super('NetworkSetupFailed', `${command}: ${said}`, { command, said }, { cause });
    this.said = said;
  }
}

/**
 * `prefix` runs them elsewhere, e.g. `['ip', 'netns', 'exec', 'node1']`; none: in the namespace of this process.
 * Both throw NetworkToolError (code NetworkSetupFailed).
 */
export function networkTools(prefix: readonly string[] = []): NetworkTools {
  return {
    ip: (...args) => run([...prefix, 'ip', '-j', ...args]),
    bridge: (...args) => run([...prefix, 'bridge', '-j', ...args]),
    vsctl: (...args) => run([...prefix, 'ovs-vsctl', '--timeout=8', ...args]),
  };
}

/** What iproute2 said of a failure, its cause first: `tc` follows it with a line that says nothing, `ip -batch` with the number of the line it met. */
export const wordsOf = (stderr: string): string =>
  stderr
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !/^(Command failed|We have an error talking to the kernel)/.test(line))
    .join('; ');

function run(command: readonly string[]): Promise<unknown> {
  const [file = '', ...args] = command;
  return new Promise((resolve, reject) => {
    execFile(
      file,
      args,
      {
        timeout: timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 32 * 1024 * 1024,
        env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' },
      },
      (error, stdout, stderr) => {
        if (error) {
          reject(new NetworkToolError(command.join(' '), wordsOf(stderr) || error.message, error));
          return;
        }
        try {
          resolve(stdout.trim() === '' ? null : (JSON.parse(stdout) as unknown));
        } catch (unreadable) {
          reject(new NetworkToolError(command.join(' '), `its answer is not JSON: ${stdout.slice(0, 200)}`, unreadable));
        }
      },
    );
  });
}
