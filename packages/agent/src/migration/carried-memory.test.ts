import { describe, expect, test } from 'vitest';
import type { RamProgress } from '../drivers/migration-report.ts';
import { CarriedMemory } from './carried-memory.ts';

const MiB = 2 ** 20;
const look = (round: number, memoryMib: number, wireMib: number): RamProgress => ({
  totalBytes: 256 * MiB,
  transferredBytes: wireMib * MiB,
  memoryBytes: memoryMib * MiB,
  remainingBytes: 20 * MiB,
  dirtyPagesRate: 0,
  dirtySyncCount: round,
  pageSize: 4096,
  mbps: 100,
});

describe('CarriedMemory', () => {
  test('a stream that does not compress is taken as QEMU tells it', () => {
    const carried = new CarriedMemory(false);
    expect(carried.seen(look(1, 80, 20))).toEqual(look(1, 80, 20));
    expect([carried.perByte, carried.atStop]).toEqual([null, 1]);
  });

  test('a compressed one is as fast as the memory it carries; before the guest’s writes were sent, a stop counts on nothing', () => {
    const carried = new CarriedMemory(true);
    expect(carried.seen(look(1, 0.1, 0.1)).mbps).toBe(100);
    expect(carried.seen(look(1, 80, 20)).mbps).toBe(400);
    expect(carried.perByte).toEqual({ sent: 4, left: 4 });
    // The speed is still that of the first pass; what is left now is what the guest wrote.
    expect(carried.seen(look(2, 120, 30)).mbps).toBe(400);
    expect(carried.perByte).toEqual({ sent: 4, left: 1 });
    expect(carried.seen(look(2, 130, 31)).mbps).toBe(100);
  });

  test('what the guest writes counts by itself, after some rounds and never far; the worst of them', () => {
    const carried = new CarriedMemory(true);
    carried.seen(look(1, 80, 10));
    carried.seen(look(2, 80, 10));
    // Too little to tell.
    carried.seen(look(3, 80.5, 10.5));
    const after = (round: number, memoryMib: number, wireMib: number) => {
      carried.seen(look(round, memoryMib, wireMib));
      return carried.atStop;
    };
    expect([after(4, 90, 12.5), after(5, 100, 15)]).toEqual([1, 1]);
    expect(after(6, 110, 18)).toBeCloseTo(10 / 3);
    expect(carried.perByte?.left).toBeCloseTo(10 / 3);
    expect(after(7, 120, 28)).toBe(1);
    for (let round = 8; round < 16; round += 1) after(round, 120 + (round - 7) * 10, 28 + (round - 7) * 2);
    // Five times as much, as it seems.
    expect(carried.atStop).toBe(4);
  });

  test('a guest that has just begun to write what does not compress: the round that is going on counts as well', () => {
    const carried = new CarriedMemory(true);
    carried.seen(look(2, 80, 10));
    for (let round = 3; round < 7; round += 1) carried.seen(look(round, 80 + (round - 2) * 10, 10 + (round - 2) * 2.5));
    expect(carried.atStop).toBe(4);
    carried.seen(look(6, 130, 30));
    expect(carried.atStop).toBe(1);
  });

  test('an agent that comes later takes what was sent before for the first pass', () => {
    const carried = new CarriedMemory(true);
    expect(carried.seen(look(4, 90, 30)).mbps).toBe(300);
    expect(carried.perByte).toEqual({ sent: 3, left: 1 });
  });

  test('an account of an agent that knew nothing of compression', () => {
    const { memoryBytes: _, ...before } = look(1, 80, 20);
    expect(new CarriedMemory(true).seen(before).mbps).toBe(100);
  });
});
