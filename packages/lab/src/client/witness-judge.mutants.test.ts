import { mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { pathToFileURL } from 'node:url';
import { afterAll, beforeAll, describe, expect, test } from 'vitest';
import { fastestReturnMs, type Sighting, type Violation, WitnessJudge } from './witness-judge.ts';

/** A judge that lets two copies through makes every custody test pass: so each of its lines that matters is broken here once, by name, and must be missed. */
const mutants: readonly { readonly name: string; readonly from: string; readonly to: string }[] = [
  {
    name: 'a number sent twice is accepted',
    from: 'sighting.counter <= last.counter) return',
    to: 'sighting.counter < last.counter) return',
  },
  {
    name: 'only a number sent twice is refused',
    from: 'sighting.counter <= last.counter) return',
    to: 'sighting.counter === last.counter) return',
  },
  { name: 'an old boot may speak', from: 'track.nonces.includes(sighting.nonce) ?', to: 'false ?' },
  { name: 'every reboot is refused', from: 'track.nonces.includes(sighting.nonce) ?', to: 'true ?' },
  { name: 'a reboot is not noticed', from: 'if (sighting.nonce !== last.nonce) {', to: 'if (false) {' },
  { name: 'a boot is not remembered', from: 'track.nonces.push(sighting.nonce)', to: 'void 0' },
  { name: 'an old copy becomes the measure', from: "if (violation?.kind !== 'old-copy-spoke') follow", to: 'follow' },
  {
    name: 'a copy that went back becomes the measure',
    from: '? { ...sighting, counter: last.counter } : sighting',
    to: '? sighting : sighting',
  },
  { name: 'ports may interleave', from: '< fastestReturnMs) {', to: '< 0) {' },
  { name: 'a move to a third port is refused', from: 'sighting.port === track.previousPort && ', to: '' },
  { name: 'every return is refused', from: 'sighting.atMs - track.portSinceMs < fastestReturnMs', to: 'true' },
  { name: 'the time of a move is forgotten', from: 'track.portSinceMs = sighting.atMs;', to: '' },
  { name: 'the port before is forgotten', from: 'track.previousPort = last.port;', to: '' },
  { name: 'guests are confused', from: 'this.#tracks.get(sighting.guest)', to: '[...this.#tracks.values()][0]' },
  { name: 'violations are not kept', from: 'this.#violations.push(violation)', to: 'void 0' },
  { name: 'gaps are not measured', from: 'if (gapMs > track.largestGapMs)', to: 'if (gapMs < track.largestGapMs)' },
  { name: 'moves are not counted', from: 'track.portChanges += 1', to: 'void 0' },
];

const day = 86_400_000;
const from = (atMs: number, port: string, counter: number, nonce = 'n1', guest = 'g1'): Sighting => ({
  atMs: day + atMs,
  port,
  guest,
  nonce,
  counter,
});
const scenarios: readonly { readonly seen: readonly Sighting[]; readonly violations: readonly Violation['kind'][] }[] = [
  { seen: [from(0, 'a', 7), from(1, 'b', 7)], violations: ['counter-went-back'] },
  {
    seen: [from(0, 'a', 100), from(200, 'b', 90), from(201, 'b', 91), from(202, 'b', 101)],
    violations: ['counter-went-back', 'counter-went-back'],
  },
  { seen: [from(0, 'a', 5), from(10, 'b', 1, 'n2'), from(11, 'a', 6), from(12, 'b', 2, 'n2')], violations: ['old-copy-spoke'] },
  { seen: [from(0, 'a', 5), from(10, 'a', 1, 'n2'), from(20, 'a', 1, 'n3'), from(21, 'b', 2, 'n2')], violations: ['old-copy-spoke'] },
  { seen: [from(0, 'a', 1), from(500, 'b', 2), from(501, 'a', 3)], violations: ['ports-interleaved'] },
  { seen: [from(0, 'a', 1), from(500, 'b', 2), from(500 + fastestReturnMs, 'a', 3)], violations: [] },
  { seen: [from(0, 'a', 1), from(1, 'b', 2), from(2, 'c', 3)], violations: [] },
  { seen: [from(0, 'a', 100), from(1, 'b', 1, 'n9', 'g2'), from(2, 'a', 101), from(3, 'b', 2, 'n9', 'g2')], violations: [] },
];

function holds(Judge: typeof WitnessJudge): boolean {
  const asExpected = scenarios.every(({ seen, violations }) => {
    const judge = new Judge();
    for (const one of seen) judge.see(one);
    return JSON.stringify(judge.violations.map((violation) => violation.kind)) === JSON.stringify(violations);
  });
  const judge = new Judge();
  for (const one of [from(0, 'a', 1), from(2, 'a', 2), from(42, 'b', 3), from(43, 'b', 4)]) judge.see(one);
  const record = judge.guests[0];
  return asExpected && record?.largestGapMs === 40 && record.portChanges === 1;
}

let dir: string;
beforeAll(async () => {
  dir = await mkdtemp(path.join(tmpdir(), 'gw-lab-mutants-'));
});
afterAll(() => rm(dir, { recursive: true }));

test('the judge as it stands holds', () => {
  expect(holds(WitnessJudge)).toBe(true);
});

describe('is caught:', () => {
  test.each(mutants)('$name', async ({ name, from: original, to }) => {
    const source = await readFile(path.join(import.meta.dirname, 'witness-judge.ts'), 'utf8');
    expect(source.split(original)).toHaveLength(2);
    const file = path.join(dir, `${name.replaceAll(' ', '-')}.ts`);
    await writeFile(file, source.replace(original, to));
    const { WitnessJudge: Mutant } = (await import(/* @vite-ignore */ pathToFileURL(file).href)) as {
      readonly WitnessJudge: typeof WitnessJudge;
    };
    expect(holds(Mutant)).toBe(false);
  });
});
