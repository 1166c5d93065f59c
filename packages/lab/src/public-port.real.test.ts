import { once } from 'node:events';
import net, { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { claimPublicPort } from './public-port.ts';

/** Not those of labs: one that is taken over is to have its port again. */
const ours = 17_774;

test('a taken port that was asked for is refused; without asking the next free one is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  try {
    await expect(claimPublicPort(address.port)).rejects.toMatchObject({
      code: 'PORT_TAKEN',
      message: expect.stringContaining(`port ${address.port} is taken`),
    });
    const first = await claimPublicPort(undefined, ours);
    const second = await claimPublicPort(undefined, ours);
    expect(first.address()).toMatchObject({ address: '127.0.0.1' });
    expect(first.address().port).toBeGreaterThanOrEqual(ours);
    // Which one depends on the labs that come and go meanwhile.
    expect(second.address().port).not.toBe(first.address().port);
    first.close();
    second.close();
  } finally {
    other.close();
  }
});

test('of two that bound one port at the same moment only one gets it', async () => {
  const rival = new net.BoundSocket({ host: '127.0.0.1', port: 0 });
  const { port } = rival.address();
  // Both are bound now; the kernel allows it while neither listens.
  const mine = await claimPublicPort(port);
  const server = createServer();
  const lost = once(server, 'error');
  server.listen(rival);
  expect(await lost).toEqual([expect.objectContaining({ code: 'EADDRINUSE' })]);
  await expect(claimPublicPort(port)).rejects.toMatchObject({ code: 'PORT_TAKEN' });
  mine.close();
});
