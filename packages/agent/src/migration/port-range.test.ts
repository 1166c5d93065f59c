import type { AddressInfo } from 'node:net';
import { createServer } from 'node:net';
import { expect, test } from 'vitest';
import { PortRange } from './port-range.ts';

test('ports are handed out in turn, never twice, and a full range says so', () => {
  const ports = new PortRange([10, 12]);
  ports.hold(11);
  expect([ports.take(), ports.take()]).toEqual([10, 12]);
  expect(() => ports.take()).toThrow('all migration ports 10-12');
  ports.giveBack(10);
  ports.giveBack(12);
  // The one given back longest ago first: a late connection of the last move meets nobody.
  expect([ports.take(), ports.take()]).toEqual([10, 12]);
});

test('a port that somebody else has is passed over, and not kept from later moves', async () => {
  const other = createServer();
  await new Promise<void>((resolve) => other.listen(0, '127.0.0.1', resolve));
  const { port } = other.address() as AddressInfo;
  const ports = new PortRange([port, port]);
  await expect(ports.takeFree('127.0.0.1')).rejects.toThrow('all migration ports');
  expect(ports.taken).toEqual([]);
  await new Promise((resolve) => other.close(resolve));
  expect(await ports.takeFree('127.0.0.1')).toBe(port);
  expect(ports.taken).toEqual([port]);
});
