/** Everything the lab can refuse or fail with. The message is one sentence for the person at the keyboard. */
export type LabErrorCode =
  /** The kernel of the demo guest was never extracted: run `make setup`. */
  | 'GUEST_KERNEL_MISSING'
  /** gcc or qemu-img failed: `make setup` installs both. */
  | 'GUEST_BUILD_FAILED'
  /** Network namespaces cannot be created here: not root, or a container without CAP_SYS_ADMIN. */
  | 'NAMESPACES_NOT_PERMITTED'
  /** An `ip` or `bridge` command failed; the cause holds its words. */
  | 'NETWORK_COMMAND_FAILED'
  /** The port given by --port is taken by something else. */
  | 'PORT_TAKEN'
  /** This Node cannot hand a bound socket on: 24.19 can. */
  | 'NODE_TOO_OLD'
  /** A flag or value that makes no sense. */
  | 'BAD_ARGUMENT'
  /** No lab runs in this directory. */
  | 'NOT_RUNNING'
  /** A lab with another shape runs in this directory: take it down first. */
  | 'ALREADY_RUNNING'
  /** The supervisor did not come up, or answers no more. */
  | 'SUPERVISOR_FAILED'
  /** A process did not become ready in time; its log says why. */
  | 'NOT_READY'
  /** The supervisor was asked for a process or host that it does not have. */
  | 'UNKNOWN_TARGET'
  /** An API call that seeds the cloud was refused. */
  | 'SEED_FAILED';

export class LabError extends Error {
  readonly code: LabErrorCode;

  constructor(code: LabErrorCode, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'LabError';
    this.code = code;
  }
}
