import { spawn } from 'node:child_process';
import { LabError } from '../lab-error.ts';

/**
 * Runs the lines as one `ip -batch` (in a namespace when given): one process instead of one a line.
 * Throws LabError NETWORK_COMMAND_FAILED with the words of `ip`, or NAMESPACES_NOT_PERMITTED when it may not.
 */
export async function ipBatch(lines: readonly string[], namespace?: string): Promise<void> {
  if (lines.length === 0) return;
  const scope = namespace === undefined ? [] : ['-netns', namespace];
  await feed('ip', [...scope, '-batch', '-'], `${lines.join('\n')}\n`);
}

/** Writes sysctls of a namespace, as `key=value`. */
export async function setSysctls(namespace: string, settings: readonly string[]): Promise<void> {
  await feed('ip', ['netns', 'exec', namespace, 'sysctl', '-qw', ...settings], '');
}

const forbidden = /Operation not permitted|Permission denied/;

export const notPermittedAdvice =
  'network namespaces are not permitted here: run this as root (for example with sudo); in a container, give it --privileged, ' +
  'or at least the capabilities SYS_ADMIN and NET_ADMIN and a writable /run/netns';

function feed(file: string, args: readonly string[], input: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = spawn(file, args, { stdio: ['pipe', 'ignore', 'pipe'] });
    let words = '';
    child.stderr.setEncoding('utf8').on('data', (text: string) => {
      words += text;
    });
    // `ip` may end before it read everything; its exit code tells, not the broken pipe.
    child.stdin.on('error', () => {});
    child.stdin.end(input);
    child.once('error', (cause) =>
      reject(new LabError('NETWORK_COMMAND_FAILED', `cannot run ${file}: install iproute2 ("make setup" does)`, { cause })),
    );
    child.once('close', (code) => {
      if (code === 0) return resolve();
      if (forbidden.test(words))
        return reject(new LabError('NAMESPACES_NOT_PERMITTED', notPermittedAdvice, { cause: new Error(words.trim()) }));
      reject(new LabError('NETWORK_COMMAND_FAILED', `${file} ${args.join(' ')} failed: ${words.trim()}`, { cause: new Error(input) }));
    });
  });
}
