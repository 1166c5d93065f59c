import { expect, it } from 'vitest';
import { uptimeText } from './uptime.ts';

const now = Date.UTC(2026, 0, 31, 9, 5, 7);
const at = (bootedAgoMinutes: number) => uptimeText({ bootedAtMs: now - bootedAgoMinutes * 60_000, load: [0.1, 2, 10.005] }, now);

it('reads like uptime', () => {
  expect(at(0)).toBe('09:05:07 up 0:00,  0 users,  load average: 0.10, 2.00, 10.01');
  expect(at(75)).toBe('09:05:07 up 1:15,  0 users,  load average: 0.10, 2.00, 10.01');
  expect(at(1440 + 5)).toBe('09:05:07 up 1 day, 0:05,  0 users,  load average: 0.10, 2.00, 10.01');
  expect(at(3 * 1440 + 600)).toBe('09:05:07 up 3 days, 10:00,  0 users,  load average: 0.10, 2.00, 10.01');
  expect(at(-5)).toContain('up 0:00,');
});
