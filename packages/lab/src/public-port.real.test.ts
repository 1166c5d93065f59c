import { once } from 'node:events';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { bindPublicPort } from './public-port.ts';

test('a taken port that was asked for is refused; without asking the next free one is taken', async () => {
  const other = createServer().listen(0, '127.0.0.1');
  await once(other, 'listening');
  const address = other.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  try {
    expect(() => bindPublicPort(address.port)).toThrow(
      expect.objectContaining({ code: 'PORT_TAKEN', message: expect.stringContaining(`port ${address.port} is taken`) }),
    );
    const first = bindPublicPort(undefined);
    expect(first.address()).toMatchObject({ address: '127.0.0.1' });
    expect(first.address().port).toBeGreaterThanOrEqual(8774);
    first.close();
  } finally {
    other.close();
  }
});
