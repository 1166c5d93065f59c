import { execFile } from 'node:child_process';

/**
 * Destroys this host's TCP connections to a migration port of another (`ss -K`, needs CONFIG_INET_DIAG_DESTROY, as in every distribution's kernel).
 *
 * For the one moment in which QEMU's own `yank` does nothing: QEMU 10.0 makes the TLS handshake of an outgoing stream on a blocking socket in its main loop, before it has told yank about the
 * channel. A destination that accepts and then says nothing (frozen, or its host has just died) holds the loop, and with it the *guest*, until somebody ends the connection.
 * Resolves when it is done, or could not be done: true when `ss` ran.
 */
export function cutConnection(address: string, port: number): Promise<boolean> {
  return new Promise((resolve) => {
    execFile(
      'ss',
      ['-K', '-t', '-n', '-H', 'dst', address, 'dport', '=', String(port)],
      { timeout: 5_000, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } },
      (error) => resolve(error === null),
    );
  });
}
