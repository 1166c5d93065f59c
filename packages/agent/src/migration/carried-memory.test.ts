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
    expect([carried.perByte, carried.atStop]).toEqual([1, 1]);
  });

  test('a compressed one is as fast as the memory it carries; before the guest’s writes were sent, a stop counts on nothing', () => {
    const carried = new CarriedMemory(true);
    expect(carried.seen(look(1, 0.1, 0.1)).mbps).toBe(100);
    expect(carried.seen(look(1, 80, 20)).mbps).toBe(400);
    expect(carried.seen(look(2, 120, 30)).mbps).toBe(400);
    expect(carried.atStop).toBe(1);
  });

  test('what the guest writes counts by itself, and the worst of its rounds', () => {
    const carried = new CarriedMemory(true);
    carried.seen(look(1, 80, 10));
    carried.seen(look(2, 80, 10));
    // Too little to tell.
    carried.seen(look(3, 80.5, 10.5));
    expect([carried.perByte, carried.atStop]).toEqual([8, 1]);
    carried.seen(look(4, 90, 12.5));
    expect(carried.atStop).toBeCloseTo(10 / 2.5);
    carried.seen(look(5, 100, 22.5));
    expect([carried.perByte, carried.atStop]).toEqual([1, 1]);
    expect(carried.seen(look(6, 110, 23.5)).mbps).toBe(100);
    for (let round = 7; round < 15; round += 1) carried.seen(look(round, 110 + (round - 6) * 10, 23.5 + (round - 6) * 2));
    expect(carried.atStop).toBe(5);
  });

  test('an agent that comes later takes what was sent before for the first pass; pages of one byte do not make a stop endless', () => {
    const carried = new CarriedMemory(true);
    expect(carried.seen(look(4, 90, 30)).mbps).toBe(300);
    carried.seen(look(5, 190, 30.1));
    expect(carried.atStop).toBe(16);
  });
});
