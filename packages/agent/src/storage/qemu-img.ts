import { execFile } from 'node:child_process';
import { GodwitError } from '@godwit/domain/errors';

/** Address space and CPU seconds for qemu-img on anything a user supplied: a crafted image must not take the host's memory or a core for long. */
const limits = { addressSpaceBytes: 2 * 1024 ** 3, cpuSeconds: 30 } as const;

export type QemuImgOptions = {
  readonly timeoutMs: number;
  /** Off for copies, whose CPU time grows with the disk. */
  readonly limited: boolean;
  readonly signal?: AbortSignal;
};

/**
 * Runs qemu-img; returns its stdout. Throws GodwitError: NoSpace when the pool is full, Conflict when a running QEMU holds the image's lock,
 * NotFound when a file is missing, Internal otherwise, always with qemu-img's own last line.
 */
export function qemuImg(args: readonly string[], options: QemuImgOptions): Promise<string> {
  const command = options.limited
    ? ['prlimit', `--as=${limits.addressSpaceBytes}`, `--cpu=${limits.cpuSeconds}`, '--core=0', 'qemu-img', ...args]
    : ['qemu-img', ...args];
  const [file = '', ...rest] = command;
  return new Promise((resolve, reject) => {
    execFile(
      file,
      rest,
      {
        timeout: options.timeoutMs,
        killSignal: 'SIGKILL',
        maxBuffer: 4 * 1024 * 1024,
        env: { PATH: process.env['PATH'], LC_ALL: 'C' },
        ...(options.signal && { signal: options.signal }),
      },
      (error, stdout, stderr) => {
        if (!error) resolve(stdout);
        else reject(refusal(args[0] ?? '', error, stderr, options.timeoutMs));
      },
    );
  });
}

function refusal(
  verb: string,
  error: Error & { killed?: boolean; code?: unknown; signal?: unknown },
  stderr: string,
  timeoutMs: number,
): GodwitError {
  const said =
    stderr
      .trim()
      .split('\n')
      .at(-1)
      ?.replace(/^qemu-img: /, '') ?? '';
  const details = { verb, stderr: stderr.slice(-2000), code: error.code, signal: error.signal };
  if (error.name === 'AbortError') return new GodwitError('Internal', `qemu-img ${verb} was aborted`, details, { cause: error });
  if (error.killed) return new GodwitError('Internal', `qemu-img ${verb} was ended after ${timeoutMs} ms`, details, { cause: error });
  if (/No space left|Disk quota exceeded/.test(stderr))
    return new GodwitError('NoSpace', `the pool has no room: ${said}`, details, { cause: error });
  if (/Failed to get .*lock/.test(stderr))
    return new GodwitError('Conflict', `the image is in use by a running guest: ${said}`, details, { cause: error });
  if (/No such file/.test(stderr)) return new GodwitError('NotFound', `a file is missing: ${said}`, details, { cause: error });
  return new GodwitError('Internal', `qemu-img ${verb} failed: ${said || error.message}`, details, { cause: error });
}
