import { join } from 'node:path';
import { GodwitError } from '@godwit/domain/errors';

/** Where one guest's files lie on this host. */
export type RunDir = {
  readonly dir: string;
  readonly qmpSocket: string;
  readonly oobSocket: string;
  readonly consoleSocket: string;
  readonly vncSocket: string;
  readonly agentSocket: string;
  /** stdout and stderr of QEMU. */
  readonly qemuLog: string;
  /** The GuestSpec as last started here. */
  readonly specFile: string;
  /** The ProcessRef of the process last started here. */
  readonly pidFile: string;
  /** The guest's config drive, if it has one. */
  readonly configDrive: string;
  /** Segments of the serial console's log (see console-log.ts). */
  readonly consoleDir: string;
};

/** sun_path holds 108 bytes with its terminating zero. */
const socketPathLimit = 107;

/** The folder that holds all guests of an agent. */
export const guestsDir = (stateDir: string): string => join(stateDir, 'guests');

/**
 * Paths for a guest (`name` is its server id; throwaway guests have names of their own).
 * Throws GodwitError BadRequest when a socket path would be longer than Linux allows: the state directory is too deep.
 */
export function runDir(stateDir: string, name: string): RunDir {
  const dir = join(guestsDir(stateDir), name);
  const socket = (file: string): string => {
    const path = join(dir, file);
    if (Buffer.byteLength(path) > socketPathLimit) {
      throw new GodwitError(
        'BadRequest',
        `the state directory ${stateDir} is too long: ${path} exceeds ${socketPathLimit} bytes, the limit of a unix socket's path`,
      );
    }
    return path;
  };
  return {
    dir,
    qmpSocket: socket('qmp.sock'),
    oobSocket: socket('oob.sock'),
    consoleSocket: socket('con.sock'),
    vncSocket: socket('vnc.sock'),
    agentSocket: socket('qga.sock'),
    qemuLog: join(dir, 'qemu.log'),
    specFile: join(dir, 'spec.json'),
    pidFile: join(dir, 'pid.json'),
    configDrive: join(dir, 'config-drive.iso'),
    consoleDir: join(dir, 'console'),
  };
}
