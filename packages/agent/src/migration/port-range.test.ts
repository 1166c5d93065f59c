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
