import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { fastestReturnMs, type Sighting, type Violation, WitnessJudge } from './witness-judge.ts';

const guest = '52:54:00:00:00:11';
const sighting = (atMs: number, port: string, counter: number, nonce = 'n1'): Sighting => ({ atMs, port, guest, nonce, counter });

function kinds(sightings: readonly Sighting[]): readonly Violation['kind'][] {
  const judge = new WitnessJudge();
  for (const one of sightings) judge.see(one);
  return judge.violations.map((violation) => violation.kind);
}

/** A guest that is moved at random times, loses frames and reboots now and then; never two copies. */
const honestLife = fc
  .array(
    fc.record({
      stayMs: fc.integer({ min: fastestReturnMs, max: 1000 }),
      stopMs: fc.integer({ min: 1, max: 300 }),
      everyMs: fc.integer({ min: 1, max: 20 }),
      port: fc.constantFrom('up-node1', 'up-node2', 'up-node3'),
      reboots: fc.boolean(),
      loseEvery: fc.integer({ min: 2, max: 50 }),
    }),
    { minLength: 1, maxLength: 12 },
  )
  .map((stays) => {
    const seen: Sighting[] = [];
    let atMs = 0;
    let counter = 0;
    let boot = 1;
    for (const stay of stays) {
      if (stay.reboots) {
        boot += 1;
        counter = 0;
      }
      // The first frame of a stay is never lost: else a stay could look shorter than it was.
      for (const end = atMs + stay.stayMs; atMs < end; atMs += stay.everyMs) {
        counter += 1;
        if (counter % stay.loseEvery !== 0 || seen.at(-1)?.port !== stay.port) seen.push(sighting(atMs, stay.port, counter, `n${boot}`));
      }
      atMs += stay.stopMs;
    }
    return seen;
  });

test('moves, losses and reboots of one copy violate nothing', () => {
  fc.assert(
    fc.property(honestLife, (life) => {
      expect(kinds(life)).toEqual([]);
    }),
  );
});

test('a second copy is caught wherever it begins, whichever frames of the two get through', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 50 }),
      fc.integer({ min: 1, max: 40 }),
      fc.infiniteStream(fc.boolean()),
      (splitAt, length, choice) => {
        const single = Array.from({ length: splitAt }, (_, index) => sighting(index, 'up-node1', index + 1));
        // Both copies go on from the same memory: the same next number. At least one frame of each gets through.
        let first = splitAt;
        let second = splitAt;
        const both = Array.from({ length }, (_, index): Sighting => {
          const which = choice.next().value === true;
          return sighting(splitAt + index, which ? 'up-node1' : 'up-node2', which ? ++first : ++second);
        });
        fc.pre(first > splitAt && second > splitAt);
        expect(kinds([...single, ...both])).not.toEqual([]);
      },
    ),
  );
});

describe('each rule by itself', () => {
  test('the same number twice', () => {
    expect(kinds([sighting(0, 'a', 7), sighting(1, 'b', 7)])).toEqual(['counter-went-back']);
  });

  test('a counter that goes back, at every one of its frames', () => {
    expect(kinds([sighting(0, 'a', 100), sighting(1, 'b', 90), sighting(2, 'b', 91), sighting(3, 'b', 101)])).toEqual([
      'counter-went-back',
      'counter-went-back',
    ]);
  });

  test('an old boot after a new one, and the new one stays the measure', () => {
    expect(kinds([sighting(0, 'a', 5), sighting(10, 'b', 1, 'n2'), sighting(11, 'a', 6), sighting(12, 'b', 2, 'n2')])).toEqual([
      'old-copy-spoke',
    ]);
  });

  test('two ports in turns with numbers that happen to grow', () => {
    expect(kinds([sighting(0, 'a', 1), sighting(1, 'b', 2), sighting(2, 'a', 3)])).toEqual(['ports-interleaved']);
    expect(kinds([sighting(0, 'a', 1), sighting(1, 'b', 2), sighting(1 + fastestReturnMs, 'a', 3)])).toEqual([]);
    expect(kinds([sighting(0, 'a', 1), sighting(1, 'b', 2), sighting(2, 'c', 3)])).toEqual([]);
  });

  test('guests are judged apart', () => {
    const judge = new WitnessJudge();
    judge.see(sighting(0, 'a', 100));
    expect(judge.see({ ...sighting(1, 'b', 1), guest: '52:54:00:00:00:12' })).toBeUndefined();
    expect(judge.guests).toHaveLength(2);
  });
});

test('counts lost frames, moves and the largest gap of the window', () => {
  const judge = new WitnessJudge();
  for (const one of [sighting(0, 'a', 1), sighting(1, 'a', 2), sighting(41, 'b', 5), sighting(42, 'b', 6)]) judge.see(one);
  expect(judge.guests).toEqual([
    { guest, nonces: ['n1'], port: 'b', lastCounter: 6, seen: 4, missing: 2, portChanges: 1, largestGapMs: 40, largestGapEndedAtMs: 41 },
  ]);
  judge.resetGaps();
  judge.see(sighting(45, 'b', 7));
  expect(judge.guests[0]?.largestGapMs).toBe(3);
});
