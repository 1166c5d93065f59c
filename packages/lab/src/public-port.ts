import net, { type BoundSocket } from 'node:net';
import { LabError } from './lab-error.ts';

export const defaultPort = 8774;
/** How many ports after the first are tried: more labs than this on one machine is a mistake. */
const portsTried = 100;

/**
 * Binds the lab's public port on 127.0.0.1, without listening: whoever serves it inherits the socket. With `wanted` that
 * port or LabError PORT_TAKEN (or NODE_TOO_OLD); without, the first free one from 8774 on.
 */
export function bindPublicPort(wanted: number | undefined): BoundSocket {
  // Present from Node 24.19 on; the types promise it, an older Node does not.
  if (typeof (net as Partial<typeof net>).BoundSocket !== 'function') {
    throw new LabError('NODE_TOO_OLD', `Node 24.19 or newer is needed, this is ${process.version}; "make setup" brings one`);
  }
  const first = wanted ?? defaultPort;
  const last = wanted ?? defaultPort + portsTried;
  for (let port = first; port <= last; port++) {
    try {
      return new net.BoundSocket({ host: '127.0.0.1', port });
    } catch (cause) {
      if (!(cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE')) {
        throw new LabError('PORT_TAKEN', `port ${port} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, {
          cause,
        });
      }
    }
  }
  throw new LabError(
    'PORT_TAKEN',
    wanted === undefined
      ? `no port between ${first} and ${last} is free`
      : `port ${wanted} is taken; choose another with --port, or leave it out`,
  );
}
