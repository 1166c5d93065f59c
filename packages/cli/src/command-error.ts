/** The exit codes of `godwit`'s client commands, as README lists them. */
export const exitCodes = {
  ok: 0,
  /** The cloud refused, or an item of several failed. */
  failed: 1,
  usage: 2,
  /** No credentials, a refused sign-in, or no cloud at the address. */
  unreachable: 3,
  /** `--wait`: what was waited for ended, and not as asked. */
  endedOtherwise: 4,
} as const;

export type ExitCode = (typeof exitCodes)[keyof typeof exitCodes];

/** A failure with the sentence that the operator reads, what to do next, and the exit code. */
export class CommandError extends Error {
  readonly exitCode: ExitCode;
  readonly next: string | null;

  constructor(message: string, options: { readonly exitCode?: ExitCode; readonly next?: string } = {}) {
    super(message);
    this.name = 'CommandError';
    this.exitCode = options.exitCode ?? exitCodes.failed;
    this.next = options.next ?? null;
  }
}
