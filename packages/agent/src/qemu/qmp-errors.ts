// What a QMP conversation can end in: each has a stable `code`, and a message that is the sentence for a person.

/** QEMU answered the command with an error; nothing is known to have changed beyond what `desc` says. */
export class QmpCommandError extends Error {
  override readonly name = 'QmpCommandError';
  readonly code = 'QMP_COMMAND_REFUSED';
  readonly command: string;
  /** QAPI error class: GenericError, CommandNotFound, DeviceNotActive, DeviceNotFound, KVMMissingCap. */
  readonly class: string;
  readonly desc: string;

  constructor(command: string, errorClass: string, desc: string) {
    super(`QEMU refused ${command}: ${desc}`);
    this.command = command;
    this.class = errorClass;
    this.desc = desc;
  }
}

/** No answer within the limit. The command may still take effect later: the caller must look, never assume. */
export class QmpTimeout extends Error {
  override readonly name = 'QmpTimeout';
  readonly code = 'QMP_TIMEOUT';
  readonly what: string;
  readonly timeoutMs: number;

  constructor(what: string, timeoutMs: number) {
    super(`QEMU did not answer ${what} within ${timeoutMs} ms`);
    this.what = what;
    this.timeoutMs = timeoutMs;
  }
}

/** The monitor is gone. This alone does not prove that the QEMU process is dead. */
export class QmpClosed extends Error {
  override readonly name = 'QmpClosed';
  readonly code = 'QMP_CLOSED';
  readonly socketPath: string;

  constructor(socketPath: string, why: string, options?: ErrorOptions) {
    super(`QMP monitor ${socketPath} is closed: ${why}`, options);
    this.socketPath = socketPath;
  }
}
