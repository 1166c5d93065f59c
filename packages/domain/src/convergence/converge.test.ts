import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { beginConvergence, converge } from './converge.ts';
import { highestLimitMs } from './limits.ts';
import { type ConvergencePolicy, defaultPolicy } from './policy.ts';
import { cyclicWriter, type PrecopyWorld, randomWriter, runPrecopy } from './precopy-model.ts';

const MB = 1_000_000;
const link = (bytesPerSecond: number) => ({ bandwidthBytesPerSecond: () => bytesPerSecond });
const policy = (changes: Partial<ConvergencePolicy> = {}): ConvergencePolicy => ({ ...defaultPolicy, ...changes });

describe('a copy under a policy', () => {
  it('lets an idle guest stop within the first limit and does nothing', () => {
    const run = runPrecopy({ firstPassBytes: 256 * MB, ...cyclicWriter(0, 0), ...link(400 * MB) }, policy());
    expect(run).toMatchObject({ outcome: 'completed', actions: [] });
    expect(run.blackoutMs).toBeLessThan(60);
  });

  it('waits while rounds get shorter', () => {
    const run = runPrecopy({ firstPassBytes: 256 * MB, ...cyclicWriter(200 * MB, 128 * MB), ...link(400 * MB) }, policy());
    expect(run).toMatchObject({ outcome: 'completed', actions: [] });
    expect(run.rounds).toBeGreaterThan(3);
  });

  it('raises the limit to the best moment, and no further, when rounds stop getting shorter', () => {
    const run = runPrecopy({ firstPassBytes: 256 * MB, ...cyclicWriter(500 * MB, 60 * MB), ...link(300 * MB) }, policy());
    expect(run.outcome).toBe('completed');
    expect(run.actions.map(({ action }) => action.kind)).toEqual(['set-downtime-limit']);
    expect(run.blackoutMs).toBeGreaterThan(200);
    expect(run.blackoutMs).toBeLessThan(270);
    expect(run.durationMs).toBeLessThan(4_000);
  });

  it('gives up with the truth when nothing allowed helps, long before the deadline', () => {
    const run = runPrecopy({ firstPassBytes: 1024 * MB, ...cyclicWriter(500 * MB, 512 * MB), ...link(300 * MB) }, policy());
    expect(run.outcome).toBe('given-up');
    expect(run.why).toMatch(/the link carries 300 MB\/s.*500 ms are allowed/);
    expect(run.durationMs).toBeLessThan(60_000);
  });

  it('slows the guest down as far as allowed, and moves it then', () => {
    const world: PrecopyWorld = { firstPassBytes: 1024 * MB, ...cyclicWriter(400 * MB, 512 * MB), ...link(300 * MB) };
    const run = runPrecopy(world, policy({ slowDownPercent: 60 }));
    expect(run.outcome).toBe('completed');
    expect(run.blackoutMs).toBeLessThanOrEqual(500);
    expect(run.throttlePercent).toBeGreaterThan(0);
    expect(run.throttlePercent).toBeLessThanOrEqual(60);
  });

  it('pauses and finishes where the policy says so', () => {
    const world: PrecopyWorld = { firstPassBytes: 1024 * MB, ...cyclicWriter(500 * MB, 512 * MB), ...link(300 * MB) };
    const run = runPrecopy(world, policy({ whenNotConverging: 'pause' }));
    expect(run).toMatchObject({ outcome: 'completed', held: true });
    expect(run.blackoutMs).toBeGreaterThan(500);
  });

  it('goes post-copy only when that is allowed and the rest is small', () => {
    const world: PrecopyWorld = { firstPassBytes: 1024 * MB, ...cyclicWriter(500 * MB, 512 * MB), ...link(300 * MB) };
    expect(runPrecopy(world, policy({ postCopyAllowed: true })).outcome).toBe('post-copy');
    const large: PrecopyWorld = { firstPassBytes: 64_000 * MB, ...cyclicWriter(5_000 * MB, 32_000 * MB), ...link(300 * MB) };
    expect(runPrecopy(large, policy({ postCopyAllowed: true })).outcome).toBe('given-up');
  });

  it('keeps the largest blackout although the link slows down by a fifth in the moment of the stop', () => {
    for (const setMs of [300, 330, 400, 430, 470]) {
      const world = { firstPassBytes: 1024 * MB, ...cyclicWriter(500 * MB, setMs * 0.3 * MB), ...link(300 * MB), stopShare: 0.8 };
      const run = runPrecopy(world, policy());
      expect(run.outcome).toBe(setMs < 384 ? 'completed' : 'given-up');
      if (run.blackoutMs !== null) expect(run.blackoutMs).toBeLessThanOrEqual(500);
    }
  });

  it('says that the first pass was too much for the deadline', () => {
    const run = runPrecopy({ firstPassBytes: 64_000 * MB, ...cyclicWriter(0, 0), ...link(100 * MB) }, policy({ deadlineMs: 10_000 }));
    expect(run.outcome).toBe('given-up');
    expect(run.why).toMatch(/were left after 10 s at 100 MB\/s, not even once through the memory/);
  });

  it('takes the calm moment of a guest that is busy in bursts', () => {
    const bursts = (fromMs: number, toMs: number): number => {
      let sum = 0;
      for (let at = Math.floor(fromMs / 100) * 100; at < toMs; at += 100) if (at % 6_000 < 4_500) sum += 40 * MB;
      return Math.min(256 * MB, sum);
    };
    const run = runPrecopy(
      { firstPassBytes: 512 * MB, dirtied: bursts, workingSetBytes: 256 * MB, ...link(300 * MB) },
      policy({ largestBlackoutMs: 100 }),
    );
    expect(run.outcome).toBe('completed');
    expect(run.blackoutMs).toBeLessThanOrEqual(100);
  });

  it('a forced completion stops the guest after the first pass, whatever the policy', () => {
    const world: PrecopyWorld = { firstPassBytes: 1024 * MB, ...cyclicWriter(500 * MB, 512 * MB), ...link(300 * MB) };
    const run = runPrecopy(world, policy(), 100);
    expect(run).toMatchObject({ outcome: 'completed', held: true });
    expect(run.durationMs).toBeLessThan(7_000);
  });
});

describe('a compressed copy', () => {
  const look = (round: number, sent: number, left: number) => ({
    atMs: round * 1_000,
    round,
    transferredBytes: 0,
    remainingBytes: 100 * MB,
    bandwidthBytesPerSecond: 50 * MB * sent,
    dirtyBytesPerSecond: 0,
    memoryPerByte: { sent, left },
  });

  it('forced to finish, it counts on nothing that memory which lay still has shown, and says that its speed is that of memory', () => {
    const first = converge(beginConvergence(policy()), policy(), look(1, 8, 8)).state;
    expect(first.bandwidthBytesPerSecond).toBe(400 * MB);
    const { state, action } = converge({ ...first, forced: true }, policy(), look(2, 8, 1));
    expect(action).toEqual({
      kind: 'hold',
      expectedMs: 2_000,
      why: 'Completion was forced. About 2000 ms at 50 MB/s of memory, compressed.',
    });
    expect(state.holdUntilMs).toBe(8_000);
  });

  it('as soon as the guest’s own writes were seen to compress, they count', () => {
    const { state } = converge(beginConvergence(policy()), policy(), look(1, 8, 8));
    expect(converge(state, policy(), look(5, 1, 4)).state.bandwidthBytesPerSecond).toBe(200 * MB);
  });

  it('given up, it does not call the speed of memory the link’s', () => {
    const told = converge(beginConvergence(policy({ deadlineMs: 1_000 })), policy({ deadlineMs: 1_000 }), look(1, 3, 3)).action;
    expect(told).toMatchObject({ kind: 'give-up', why: expect.stringContaining('at 150 MB/s of memory, compressed, not even once') });
  });
});

describe('for every guest, link and policy', () => {
  // In terms of the link, so that most worlds are near the edge of what converges.
  const worlds = fc
    .record({
      link: fc.integer({ min: 20, max: 3_000 }),
      passMs: fc.integer({ min: 10, max: 60_000 }),
      setMs: fc.oneof(fc.integer({ min: 0, max: 500 }), fc.integer({ min: 0, max: 10_000 })),
      writes: fc.double({ min: 0, max: 3, noNaN: true }),
      jitter: fc.double({ min: 0, max: 0.2, noNaN: true }),
      periodMs: fc.integer({ min: 10, max: 3_000 }),
      random: fc.boolean(),
      stopShare: fc.double({ min: 0.8, max: 1, noNaN: true }),
    })
    .map(({ link: speed, passMs, setMs, writes, jitter, periodMs, random, stopShare }): PrecopyWorld => {
      const perMs = speed * 1_000;
      const bytes = perMs * passMs;
      return {
        firstPassBytes: bytes,
        stopShare,
        ...(random ? randomWriter : cyclicWriter)(writes * speed * MB, Math.min(bytes, perMs * setMs)),
        bandwidthBytesPerSecond: (atMs) => speed * MB * (1 - jitter * Math.abs(Math.sin(atMs / periodMs))),
      };
    });
  const policies = fc.record({
    largestBlackoutMs: fc.integer({ min: 50, max: 5_000 }),
    deadlineMs: fc.integer({ min: 1_000, max: 120_000 }),
    slowDownPercent: fc.integer({ min: 0, max: 99 }),
    postCopyAllowed: fc.boolean(),
    whenNotConverging: fc.constantFrom('give-up' as const, 'pause' as const),
    memoryStream: fc.constant('single' as const),
  });
  const forcing = fc.option(fc.integer({ min: 0, max: 30_000 }), { nil: Infinity });

  it('never exceeds the largest blackout but by a pause, never does what the policy forbids, and ends', () => {
    fc.assert(
      fc.property(worlds, policies, forcing, (world, chosen, forceAtMs) => {
        const run = runPrecopy(world, chosen, forceAtMs);
        if (run.outcome === 'completed' && !run.held) expect(run.blackoutMs).toBeLessThanOrEqual(chosen.largestBlackoutMs);
        if (run.held) expect(chosen.whenNotConverging === 'pause' || forceAtMs < Infinity).toBe(true);
        if (run.outcome === 'post-copy') expect(chosen.postCopyAllowed).toBe(true);
        expect(run.throttlePercent).toBeLessThanOrEqual(chosen.slowDownPercent);
        for (const { action } of run.actions)
          if (action.kind === 'set-downtime-limit') expect(action.limitMs).toBeLessThanOrEqual(highestLimitMs(chosen));
        if (!run.held) expect(run.durationMs).toBeLessThanOrEqual(chosen.deadlineMs + 250 + chosen.largestBlackoutMs);
        if (run.outcome === 'given-up') expect(run.why).not.toBe('');
      }),
      { numRuns: 1_000 },
    );
  });

  it('says nothing more once it has ended, whatever it is shown', () => {
    const samples = fc.array(
      fc.record({
        atMs: fc.integer({ min: 0, max: 4_000_000 }),
        round: fc.integer({ min: 0, max: 50 }),
        transferredBytes: fc.nat(),
        remainingBytes: fc.nat(),
        bandwidthBytesPerSecond: fc.nat(),
        dirtyBytesPerSecond: fc.nat(),
      }),
      { maxLength: 40 },
    );
    fc.assert(
      fc.property(samples, policies, (looks, chosen) => {
        let state = beginConvergence(chosen);
        let over = false;
        for (const look of looks) {
          const step = converge(state, chosen, look);
          ({ state } = step);
          if (over) expect(step.action.kind).toBe('wait');
          over ||= step.action.kind === 'give-up' || step.action.kind === 'post-copy';
          expect(state.limitMs).toBeLessThanOrEqual(highestLimitMs(chosen));
        }
      }),
    );
  });
});
