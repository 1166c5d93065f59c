import { createServer } from 'node:net';

const places = 100;

/**
 * A number below 100 that nobody else on this machine holds, for whatever must have a name or an address of its own here. Held by the kernel (a socket without a file), so it is free again when
 * this process has ended, however it did. What an earlier holder left under the number is the new one's to clear.
 */
export async function claimPlace(): Promise<{ readonly place: number; free(): Promise<void> }> {
  for (let place = 0; place < places; place++) {
    const server = createServer();
    const isOurs = await new Promise<boolean>((resolve, reject) => {
      server.once('error', (error: NodeJS.ErrnoException) => (error.code === 'EADDRINUSE' ? resolve(false) : reject(error)));
      server.listen(`\0godwit-test-place-${place}`, () => resolve(true));
    });
    if (isOurs) return { place, free: () => new Promise((resolve) => server.close(() => resolve())) };
  }
  throw new Error(`all ${places} places are taken`);
}
