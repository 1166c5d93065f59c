import fc from 'fast-check';
import { expect, it } from 'vitest';
import { memoryOf, memoryPlaceMib, memoryProblems, memorySizeProblem, memoryStepMib } from './guest-memory.ts';

const machine = fc
  .record({ ramMib: fc.integer({ min: 1, max: 200_000 }), more: fc.integer({ min: 1, max: 200_000 }) })
  .map(({ ramMib, more }) => ({ ramMib, maxRamMib: ramMib + more }));

it('a place holds all that a guest can be given, in whole blocks of its kernel, and less than one more', () => {
  fc.assert(
    fc.property(machine, ({ ramMib, maxRamMib }) => {
      const place = memoryPlaceMib({ ramMib, maxRamMib }) ?? 0;
      const block = maxRamMib < 65_536 ? 128 : 2_048;
      expect(place % block).toBe(0);
      expect(place).toBeGreaterThanOrEqual(maxRamMib - ramMib);
      expect(place - block).toBeLessThan(maxRamMib - ramMib);
    }),
  );
  expect(memoryPlaceMib({ ramMib: 96 })).toBeNull();
});

it('a guest can have whole steps from what it was started with up to its most, and nothing else; what is refused names the nearest below', () => {
  fc.assert(
    fc.property(machine, fc.integer({ min: -5, max: 500_000 }), (of, wantedMib) => {
      const problem = memorySizeProblem(of, wantedMib);
      const within = wantedMib >= of.ramMib && wantedMib <= of.maxRamMib;
      expect(problem === null).toBe(within && (wantedMib - of.ramMib) % memoryStepMib === 0);
      const nearest = Number(/: (\d+) for one/.exec(problem ?? '')?.[1] ?? Number.NaN);
      if (within && problem !== null) expect(memorySizeProblem(of, nearest)).toBeNull();
    }),
  );
  for (const odd of [1.5, Number.NaN, Number.POSITIVE_INFINITY])
    expect(memorySizeProblem({ ramMib: 1, maxRamMib: 100 }, odd)).not.toBeNull();
});

it.each([
  [{ ramMib: 96 }, []],
  [{ ramMib: 96, maxRamMib: 224, addedRamMib: 128 }, []],
  [{ ramMib: 96, addedRamMib: 2 }, [/no place/]],
  [{ ramMib: 96, maxRamMib: 96 }, [/not more than its 96/]],
  [{ ramMib: 96, maxRamMib: 20_000_000 }, [/up to 16777216/]],
  [{ ramMib: 96, maxRamMib: 224, addedRamMib: 130 }, [/not 226/]],
  [{ ramMib: 96, maxRamMib: 224, addedRamMib: -2 }, [/not 94/]],
  [{ ramMib: 96, maxRamMib: 224, addedRamMib: 3 }, [/98 for one, and not 99/]],
])('%o has these problems: %o', (memory, problems) => {
  expect(memoryProblems(memory)).toEqual(problems.map((words) => expect.stringMatching(words) as string));
});

it('a guest has what its machine was started with and what it was given', () => {
  expect([memoryOf({ ramMib: 96 }), memoryOf({ ramMib: 96, addedRamMib: 64 })]).toEqual([96, 160]);
});
