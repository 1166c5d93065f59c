import { expect, it } from 'vitest';
import { groupViolation } from './group-rules.ts';

it('sees broken hard rules, and never a broken wish', () => {
  expect(groupViolation('anti-affinity', 1, ['node1', 'node2', null, null])).toBeNull();
  expect(groupViolation('anti-affinity', 1, ['node1', 'node2', 'node1'])).toBe('Rule broken: 2 on node1.');
  expect(groupViolation('anti-affinity', 2, ['node1', 'node2', 'node1'])).toBeNull();
  expect(groupViolation('affinity', 1, ['node1', 'node1', null])).toBeNull();
  expect(groupViolation('affinity', 1, ['node2', 'node1'])).toBe('Rule broken: members are on node1, node2.');
  expect(groupViolation('soft-anti-affinity', 1, ['node1', 'node1'])).toBeNull();
  expect(groupViolation('soft-affinity', 1, ['node1', 'node2'])).toBeNull();
});
