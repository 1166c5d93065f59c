import fc from 'fast-check';
import { expect, it, test } from 'vitest';
import { addedMemory, askForMemory, claimedMib, memoryRefusal, settleMemory, unmovedSentence, untilGiven } from './memory-device.ts';

const mib = 1_048_576;

/** A QEMU whose guest moves `stepMib` towards what it is to have each time that it is looked at, as long as `moves` last; and a clock that only waiting moves. */
function qemu(asked: number, has: number, moves: number, stepMib = 2) {
  let nowMs = 0;
  const state = { asked, has, left: moves };
  const execute = async (command: string, args?: Record<string, unknown>): Promise<unknown> => {
    if (command === 'qom-set') state.asked = Number(args?.['value']) / mib;
    else if (args?.['property'] === 'requested-size') return state.asked * mib;
    else {
      const way = Math.max(-stepMib, Math.min(stepMib, state.asked - state.has));
      if (way !== 0 && state.left > 0) {
        state.left -= 1;
        state.has += way;
      }
      return state.has * mib;
    }
    return {};
  };
  const clock = {
    nowMs: () => nowMs,
    delay: async (ms: number) => {
      nowMs += ms;
    },
  };
  return { qmp: { execute }, clock, state };
}

const size = fc.integer({ min: 0, max: 400 }).map((steps) => steps * 2);

test('whatever a guest does, waiting ends, with what it has; nothing more is then asked of it, and where it gave back too little it is offered all again', async () => {
  await fc.assert(
    fc.asyncProperty(size, size, fc.integer({ min: 0, max: 400 }), async (from, wanted, moves) => {
      const { qmp, clock, state } = qemu(from, from, moves);
      await askForMemory(qmp, wanted);
      const given = await untilGiven(qmp, wanted, clock);
      expect(clock.nowMs()).toBeLessThanOrEqual(25_050);
      expect(given.hasMib === wanted).toBe(state.has === wanted);
      if (given.hasMib === wanted) return;
      const kept = await settleMemory(qmp, from, wanted, clock);
      expect(clock.nowMs()).toBeLessThanOrEqual(56_000);
      if (wanted < from && state.left > 0) expect(kept.hasMib).toBe(from);
      expect(kept).toEqual({ askedMib: state.has, hasMib: state.has });
      expect(claimedMib(kept)).toBe(state.has);
      expect(Math.min(from, wanted) <= state.has && state.has <= Math.max(from, wanted)).toBe(true);
    }),
  );
});

it('gives up after 5 s on a guest that gives nothing back, after 15 s on one that takes nothing, and when it has taken longer than 25 s in all', async () => {
  for (const [from, wanted, moves, ms] of [
    [64, 0, 0, 5_000],
    [0, 64, 0, 15_000],
    [0, 4_000, 5_000, 25_000],
  ] as const) {
    const { qmp, clock } = qemu(wanted, from, moves);
    await untilGiven(qmp, wanted, clock);
    expect(clock.nowMs()).toBe(ms);
  }
});

it('a guest that boots is to have more than it has, and one that gives back has more than it is to have: either may use the larger', async () => {
  expect(claimedMib(await addedMemory(qemu(64, 0, 0).qmp))).toBe(64);
  expect(claimedMib(await addedMemory(qemu(0, 64, 0).qmp))).toBe(64);
});

it.each([
  [{ ramMib: 96, maxRamMib: 224 }, 160, null, null],
  [{ ramMib: 96 }, 96, null, null],
  [{ ramMib: 96 }, 160, 'HotPlugUnsupported', /without a place for more memory: stop the server and start it/],
  [{ ramMib: 96, maxRamMib: 224 }, 226, 'BadRequest', /this machine can have 96 to 224 MiB of memory, not 226/],
] as const)('a machine with %o asked for %i: %s', (machine, wanted, code, words) => {
  const refused = memoryRefusal(machine, wanted);
  expect(refused?.code ?? null).toBe(code);
  if (words !== null) expect(refused?.message).toMatch(words);
});

it.each([
  [0, 64, 0, 0, 'the guest took 0 of 64 MiB, as one does that has no driver for virtio-mem or still boots: it has 96 MiB'],
  [0, 64, 32, 32, 'the guest took 32 of 64 MiB: it has 128 MiB'],
  [64, 0, 10, 64, 'the guest gave back 10 of 64 MiB, uses the rest, and was left all: it has 160 MiB'],
])('from %i to %i it came %i and has %i: %s', (from, wanted, moved, has, words) => {
  expect(unmovedSentence(96, from, wanted, moved, has)).toBe(words);
});
