import { randomInt } from 'node:crypto';
import { createSocket } from 'node:dgram';
import { createServer } from 'node:net';

/** Below the ports that Linux gives to whoever asks for any (32768 and up, ip_local_port_range): none of those takes one of these between here and its user. */
const [first, last] = [20_000, 30_000];
const tries = 100;

/** A free port of 127.0.0.1, for what must know its port before it listens. Where its user can listen on 0 and tell, that is better. */
export async function portOfOurOwn(kind: 'tcp' | 'udp' = 'tcp'): Promise<number> {
  for (let turn = 0; turn < tries; turn += 1) {
    const port = randomInt(first, last);
    if (await (kind === 'tcp' ? isFreeTcp(port) : isFreeUdp(port))) return port;
  }
  throw new Error(`no free ${kind} port found between ${first} and ${last}`);
}

const isFreeTcp = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createServer();
    probe.once('error', () => resolve(false));
    probe.listen(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });

const isFreeUdp = (port: number): Promise<boolean> =>
  new Promise((resolve) => {
    const probe = createSocket('udp4');
    probe.once('error', () => resolve(false));
    probe.bind(port, '127.0.0.1', () => probe.close(() => resolve(true)));
  });
