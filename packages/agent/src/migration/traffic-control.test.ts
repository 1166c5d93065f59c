import { expect, test } from 'vitest';
import { NetworkToolError, wordsOf } from '../network/network-tools.ts';
import { alreadySo } from './traffic-control.ts';

const failed = (stderr: string): NetworkToolError => new NetworkToolError('tc', wordsOf(stderr), null);

// As iproute2 6.1 words them.
test.each([
  'Error: Cannot find specified filter chain.\nWe have an error talking to the kernel\n',
  "Error: Parent Qdisc doesn't exists.\nWe have an error talking to the kernel\n",
  'Error: Exclusivity flag on, cannot modify.\n',
  'RTNETLINK answers: File exists\nCommand failed -:1\n',
  'Cannot find device "gx012345670"\nCommand failed -:1\n',
])('what is so already is no failure: %j', (stderr) => {
  expect(alreadySo(failed(stderr))).toBe(true);
});

test.each([
  'Error: Specified qdisc kind is unknown.\nWe have an error talking to the kernel\n',
  'RTNETLINK answers: Operation not permitted\n',
  '',
])('anything else is: %j', (stderr) => {
  expect(alreadySo(failed(stderr))).toBe(false);
});

test('the words are the cause, without what says nothing', () => {
  expect(wordsOf('Error: argument "x" is wrong: no MTU\nCommand failed -:2\n')).toBe('Error: argument "x" is wrong: no MTU');
});
