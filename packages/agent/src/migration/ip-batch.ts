import { execFile } from 'node:child_process';
import { NetworkToolError, wordsOf } from '../network/network-tools.ts';

/** Several `ip` commands in one process, in order, up to the first that fails. Throws NetworkToolError with ip's own words. */
export function ipBatch(lines: readonly string[]): Promise<void> {
  return new Promise((resolve, reject) => {
    const child = execFile(
      'ip',
      ['-batch', '-'],
      { timeout: 10_000, killSignal: 'SIGKILL', env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } },
      (error, _stdout, stderr) => {
        if (error) reject(new NetworkToolError(`ip -batch (${lines.join('; ')})`, wordsOf(stderr) || error.message, error));
        else resolve();
      },
    );
    child.stdin?.on('error', () => undefined); // it ended early: its exit tells why
    child.stdin?.end(`${lines.join('\n')}\n`);
  });
}
