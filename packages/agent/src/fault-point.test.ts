import { expect, test } from 'vitest';
import { parseFaultPoints } from './fault-point.ts';

test('faults are parsed, and one that would never happen is refused', () => {
  expect([...parseFaultPoints('source.armed=kill,destination.taken=hold:50')]).toEqual([
    ['source.armed', { kind: 'kill' }],
    ['destination.taken', { kind: 'hold', ms: 50 }],
  ]);
  expect(parseFaultPoints(undefined).size).toBe(0);
  expect(() => parseFaultPoints('source.amred=kill')).toThrow('no such fault: source.amred=kill');
  expect(() => parseFaultPoints('source.armed=explode')).toThrow('no such fault');
});
