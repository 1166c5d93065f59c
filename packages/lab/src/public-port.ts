import { spawn } from 'node:child_process';
import { once } from 'node:events';
import net, { type BoundSocket } from 'node:net';
import { LabError } from './lab-error.ts';

export const defaultPort = 8774;
/** How many ports after the first are tried: more labs than this on one machine is a mistake. */
const portsTried = 100;

/**
 * Claims the lab's public port on 127.0.0.1 and returns the listening socket; nobody accepts from it until a controller inherits it, and
 * connections made before that wait in its queue. With `wanted` that port or LabError PORT_TAKEN; without, the first free one from
 * `from` on. Throws NODE_TOO_OLD where Node cannot do this.
 */
export async function claimPublicPort(wanted: number | undefined, from = defaultPort): Promise<BoundSocket> {
  // Present from Node 24.19 on; the types promise it, an older Node does not.
  if (typeof (net as Partial<typeof net>).BoundSocket !== 'function') {
    throw new LabError('NODE_TOO_OLD', `Node 24.19 or newer is needed, this is ${process.version}; "make setup" brings one`);
  }
  const first = wanted ?? from;
  const last = wanted ?? from + portsTried;
  for (let port = first; port <= last; port++) {
    const socket = await claim(port);
    if (socket !== undefined) return socket;
  }
  throw new LabError(
    'PORT_TAKEN',
    wanted === undefined
      ? `no port between ${first} and ${last} is free`
      : `port ${wanted} is taken; choose another with --port, or leave it out`,
  );
}

/** Undefined when it is taken. */
async function claim(port: number): Promise<BoundSocket | undefined> {
  let socket: BoundSocket;
  try {
    socket = new net.BoundSocket({ host: '127.0.0.1', port });
  } catch (cause) {
    if (cause instanceof Error && 'code' in cause && cause.code === 'EADDRINUSE') return undefined;
    throw new LabError('PORT_TAKEN', `port ${port} cannot be used: ${cause instanceof Error ? cause.message : String(cause)}`, { cause });
  }
  if (await startListening(socket)) return socket;
  socket.close();
  return undefined;
}

/** What the child runs: it puts the socket it inherited into the listening state, and ends. */
const listenAndLeave = `require('node:net').createServer().on('error', () => process.exit(1)).listen({ fd: 3, backlog: 511 }, () => process.exit(0))`;

/**
 * Two sockets may be bound to one port as long as neither listens (SO_REUSEADDR): only `listen` decides whose it is. Done by a child,
 * because a process that listens through Node also accepts. False when another socket listens there.
 */
async function startListening(socket: BoundSocket): Promise<boolean> {
  const child = spawn(process.execPath, ['-e', listenAndLeave], { stdio: ['ignore', 'ignore', 'ignore', socket.fd()] });
  const [code] = (await once(child, 'close')) as (number | null)[];
  return code === 0;
}
