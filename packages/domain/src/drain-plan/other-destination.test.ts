import { expect, it } from 'vitest';
import { otherDestination, settledDestination } from './other-destination.ts';

it('says that it is going there until it is there', () => {
  const note = otherDestination('node2', 'node3', 'node2: disabled: new kernel, going to be replaced');
  expect(note).toBe('planned node2, going to node3, because node2: disabled: new kernel, going to be replaced');
  expect(settledDestination(note, true)).toBe('planned node2, went to node3, because node2: disabled: new kernel, going to be replaced');
  expect(settledDestination(note, false)).toMatch(/^planned node2, was to go to node3, because /);
});

it('leaves every other note alone', () => {
  expect(settledDestination(null, true)).toBeNull();
  expect(settledDestination('planned node2, went to node3, because it is full', false)).toBe(
    'planned node2, went to node3, because it is full',
  );
});
