import { execFile } from 'node:child_process';
import { GodwitError } from '@godwit/domain/errors';

/** A cluster without a monitor in reach lets its tools wait for five minutes. Shorter than what a controller waits for an answer of ours (30 s), so that it is told why. */
const answerMs = 20_000;

/** Linux's numbers of errors, which `rbd` ends with. */
const errno = { ENOENT: 2, EBUSY: 16, EEXIST: 17, ENOSPC: 28, ENOTEMPTY: 39, EDQUOT: 122 } as const;

/** Ended by `deadlineMs` at the latest, and by the signal. */
export type CephToolOptions = { readonly deadlineMs?: number; readonly signal?: AbortSignal };

/**
 * Runs a tool of ceph-common; returns its stdout. Throws GodwitError, always with the tool's own last line: NotFound when the image that was named is not there, NoSpace when the cluster or a quota is full, Conflict when a client
 * has the image open or snapshots of it exist, PoolUnavailable for everything else: no tool, no answer, no permission.
 */
export function cephTool(tool: 'rbd' | 'ceph', args: readonly string[], options: CephToolOptions = {}): Promise<string> {
  const { deadlineMs = answerMs, signal } = options;
  return new Promise((resolve, reject) => {
    execFile(
      tool,
      args,
      {
        timeout: deadlineMs,
        killSignal: 'SIGKILL',
        maxBuffer: 64 * 1024 * 1024,
        env: { PATH: process.env['PATH'], LC_ALL: 'C' },
        ...(signal && { signal }),
      },
      (error, stdout, stderr) => (error ? reject(cephRefusal(tool, error, stderr, deadlineMs)) : resolve(stdout)),
    );
  });
}

/** Which refusal the end of a tool is. */
export function cephRefusal(
  tool: string,
  error: Error & { readonly killed?: boolean; readonly code?: unknown; readonly signal?: unknown },
  stderr: string,
  deadlineMs: number,
): GodwitError {
  const said = lastLine(stderr) || error.message;
  const refusal = (code: 'NotFound' | 'NoSpace' | 'Conflict' | 'PoolUnavailable' | 'Internal', sentence: string): GodwitError =>
    new GodwitError(code, sentence, { tool, stderr: stderr.slice(-2000), code: error.code, signal: error.signal }, { cause: error });
  if (error.name === 'AbortError') return refusal('Internal', `${tool} was aborted`);
  if (error.code === 'ENOENT') return refusal('PoolUnavailable', `this host has no ${tool}: install ceph-common`);
  if (error.killed) return refusal('PoolUnavailable', `the Ceph cluster did not answer ${tool} in ${deadlineMs / 1_000} s`);
  switch (error.code) {
    case errno.ENOENT:
      // The same number means that there is no such pool, namespace or keyring: then nobody has looked for the image.
      if (/error opening image|delete error/.test(said)) return refusal('NotFound', `not in the Ceph cluster: ${said}`);
      return refusal('PoolUnavailable', `the Ceph cluster refuses ${tool}: ${said}`);
    case errno.ENOSPC:
    case errno.EDQUOT:
      return refusal('NoSpace', `the Ceph pool has no room: ${said}`);
    case errno.EBUSY:
    case errno.EEXIST:
    case errno.ENOTEMPTY:
      return refusal('Conflict', `the Ceph cluster refuses it: ${said}`);
    default:
      return refusal('PoolUnavailable', `the Ceph cluster refuses ${tool}: ${said}`);
  }
}

/** Whether a refusal says that a client has the image open, or died with it open and is not yet forgotten. */
export const isInUse = ({ code, details }: GodwitError): boolean => code === 'Conflict' && details['code'] === errno.EBUSY;

const lastLine = (text: string): string =>
  text
    .trim()
    .split('\n')
    .at(-1)
    ?.replace(/^(rbd|ceph): /, '') ?? '';
