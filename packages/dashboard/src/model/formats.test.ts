import { expect, it } from 'vitest';
import { formatAge, formatBytes, formatDuration, formatMib, parseTime } from './formats.ts';

it('writes sizes', () => {
  expect([0, 512, 1536, 268_435_456, 1.5 * 2 ** 40, null].map(formatBytes)).toEqual(['0 B', '512 B', '1.5 KiB', '256 MiB', '1.5 TiB', '–']);
  expect([64, 512, 1024, 1280, 2000, 4096].map(formatMib)).toEqual(['64 MiB', '512 MiB', '1 GiB', '1.25 GiB', '2000 MiB', '4 GiB']);
});

it('writes durations and ages', () => {
  expect([0, 2.34, 412, 3210, 59_400, 250_000, 3_600_000, 7_500_000, 273_600_000, null].map(formatDuration)).toEqual([
    '0 ms',
    '2.3 ms',
    '412 ms',
    '3.2 s',
    '59 s',
    '4 min 10 s',
    '1 h',
    '2 h 5 min',
    '3 d 4 h',
    '–',
  ]);
  expect([-5, 12_900, 240_000, 7_300_000, 200_000_000].map(formatAge)).toEqual(['0 s', '12 s', '4 min', '2 h', '2 d']);
});

it('reads a time without zone as UTC', () => {
  expect(parseTime('2026-01-02T03:04:05.000000')).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
  expect(parseTime('2026-01-02T03:04:05Z')).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
  expect(parseTime('2026-01-02T05:04:05+02:00')).toBe(Date.UTC(2026, 0, 2, 3, 4, 5));
});
