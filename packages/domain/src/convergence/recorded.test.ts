import { describe, expect, it } from 'vitest';
import { beginConvergence, converge } from './converge.ts';
import { type ConvergencePolicy, defaultPolicy } from './policy.ts';
import { bursts } from './recorded/bursts.ts';
import { fasterThanTheLink } from './recorded/faster-than-the-link.ts';
import { slowerThanTheLink } from './recorded/slower-than-the-link.ts';
import type { ConvergenceAction } from './sample.ts';

/** What the policy would have done, look by look; the recorded copy was kept from stopping, and went on as it did. */
function replay(
  recorded: string,
  changes: Partial<ConvergencePolicy> = {},
): readonly { readonly atMs: number; readonly action: ConvergenceAction }[] {
  const policy = { ...defaultPolicy, ...changes };
  const done: { atMs: number; action: ConvergenceAction }[] = [];
  let state = beginConvergence(policy);
  for (const line of recorded.trim().split('\n')) {
    const [atMs = 0, round = 0, transferredBytes = 0, remainingBytes = 0, bandwidthBytesPerSecond = 0, dirtyBytesPerSecond = 0] = line
      .split(' ')
      .map(Number);
    const step = converge(state, policy, { atMs, round, transferredBytes, remainingBytes, bandwidthBytesPerSecond, dirtyBytesPerSecond });
    ({ state } = step);
    if (step.action.kind !== 'wait') done.push({ atMs, action: step.action });
  }
  return done;
}

describe('recorded copies of real guests', () => {
  it('a guest that writes slower than the link needs nothing', () => {
    expect(replay(slowerThanTheLink)).toEqual([]);
  });

  it('one that writes faster is given up when the best moment is not allowed, as soon as that is clear', () => {
    const [given, ...more] = replay(fasterThanTheLink, { largestBlackoutMs: 400, deadlineMs: 8_900 });
    expect(more).toEqual([]);
    expect(given?.action).toMatchObject({ kind: 'give-up', cause: 'WillNotConverge' });
    expect(given?.atMs).toBeGreaterThan(4_000);
    expect(given?.atMs).toBeLessThan(7_500);
  });

  it('is stopped at its best moment where that is allowed: about the 18 MiB that it writes to, at 40 MB/s', () => {
    const [first] = replay(fasterThanTheLink, { largestBlackoutMs: 1_000 });
    expect(first?.action.kind).toBe('set-downtime-limit');
    if (first?.action.kind === 'set-downtime-limit') {
      expect(first.action.limitMs).toBeGreaterThan(430);
      expect(first.action.limitMs).toBeLessThan(560);
    }
  });

  it('is slowed down where only that is allowed', () => {
    const [first] = replay(fasterThanTheLink, { largestBlackoutMs: 200, slowDownPercent: 80 });
    expect(first?.action.kind).toBe('throttle');
  });

  it('one that is busy in bursts is waited for', () => {
    expect(replay(bursts, { largestBlackoutMs: 200 })).toEqual([]);
  });
});
