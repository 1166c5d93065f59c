import { spawn } from 'node:child_process';

export interface Run {
  readonly exitCode: number;
  readonly output: string;
  readonly seconds: number;
  readonly timedOut: boolean;
}

export interface RunOptions {
  readonly cwd: string;
  readonly env: NodeJS.ProcessEnv;
  readonly limitSeconds: number;
  /** Gets the output as it comes; without it, the output is in the result. */
  readonly show?: (chunk: Buffer) => void;
}

/**
 * Runs a command to its end, in a process group of its own: at the limit, and when this process is told to end, the whole group gets SIGTERM, and SIGKILL ten seconds later.
 * Never rejects; a program that is not there has exit code 127.
 */
export function runCommand(command: readonly [string, ...string[]], options: RunOptions): Promise<Run> {
  const started = performance.now();
  const child = spawn(command[0], command.slice(1), {
    cwd: options.cwd,
    env: options.env,
    detached: true,
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  let output = '';
  let timedOut = false;
  const take = (chunk: Buffer) => {
    if (options.show) options.show(chunk);
    else output += chunk.toString();
  };
  child.stdout.on('data', take);
  child.stderr.on('data', take);
  const signal = (name: NodeJS.Signals) => {
    if (child.pid === undefined) return;
    try {
      process.kill(-child.pid, name);
    } catch {
      // The group is gone already.
    }
  };
  let kill: NodeJS.Timeout | undefined;
  const stop = () => {
    signal('SIGTERM');
    kill ??= setTimeout(signal, 10_000, 'SIGKILL');
  };
  process.once('SIGINT', stop);
  process.once('SIGTERM', stop);
  const limit = setTimeout(() => {
    timedOut = true;
    stop();
  }, options.limitSeconds * 1000);
  return new Promise((resolve) => {
    const finish = (exitCode: number) => {
      clearTimeout(limit);
      clearTimeout(kill);
      process.off('SIGINT', stop);
      process.off('SIGTERM', stop);
      resolve({ exitCode, output, seconds: (performance.now() - started) / 1000, timedOut });
    };
    child.on('error', (error) => {
      output += `${error.message}\n`;
      finish(127);
    });
    child.on('close', (code) => finish(code ?? 1));
  });
}
