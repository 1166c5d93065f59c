import { execFile } from 'node:child_process';

/**
 * Bytes that the other side's kernel has acknowledged on this host's TCP connections to a migration port there; null: not known. What a slow link carries of one large operation shows here
 * long before the operation is over, and a link that drops everything adds nothing.
 */
export function acknowledgedBytes(address: string, port: number): Promise<number | null> {
  return new Promise((resolve) => {
    execFile(
      'ss',
      ['-t', '-i', '-n', '-H', '-O', 'state', 'established', 'dst', address, 'dport', '=', String(port)],
      { timeout: 2_000, env: { PATH: `${process.env['PATH'] ?? ''}:/usr/sbin:/sbin`, LC_ALL: 'C' } },
      (error, rows) => {
        if (error !== null) return resolve(null);
        const counts = [...rows.matchAll(/\bbytes_acked:(\d+)/g)].map(([, bytes]) => Number(bytes));
        resolve(counts.reduce((sum, bytes) => sum + bytes, 0));
      },
    );
  });
}
