import { connect } from 'node:net';

const magic = Buffer.from('NBDMAGIC');

/**
 * Whether an NBD server that is alive listens there: it speaks first. Asked before QEMU connects, because QEMU's main loop, and so its guest, waits for the handshake
 * of a peer that may be frozen. Never rejects.
 */
export function greetsAsNbd(address: string, port: number, limitMs: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect({ host: address, port });
    const answer = (greets: boolean): void => {
      socket.destroy();
      resolve(greets);
    };
    socket.setTimeout(limitMs, () => answer(false));
    socket.once('data', (chunk) => answer(chunk.subarray(0, magic.length).equals(magic)));
    socket.once('error', () => answer(false));
    socket.once('end', () => answer(false));
  });
}
