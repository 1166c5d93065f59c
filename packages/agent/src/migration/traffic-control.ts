import { execFile } from 'node:child_process';
import { NetworkToolError, wordsOf } from '../network/network-tools.ts';

/** Runs `tc` in this process's network namespace; returns what it prints. Throws NetworkToolError with tc's own words. */
export function tc(...args: readonly string[]): Promise<string> {
  return new Promise((resolve, reject) => {
    execFile(
      'tc',
      args,
      { timeout: 10_000, killSignal: 'SIGKILL', env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } },
      (error, stdout, stderr) => {
        if (error) reject(new NetworkToolError(`tc ${args.join(' ')}`, wordsOf(stderr) || error.message, error));
        else resolve(stdout);
      },
    );
  });
}

/** Whether tc says that what was to be removed, or made, is so already. */
export const alreadySo = (error: unknown): boolean =>
  error instanceof NetworkToolError &&
  /Exclusivity flag on|File exists|Cannot find device|No such (file|device)|Cannot find specified|Invalid handle|Parent Qdisc doesn't exists|not found/i.test(
    error.said,
  );
