import { expect, it } from 'vitest';
import { stateInTheWay } from './state-in-the-way.ts';

it('says which statuses each kind of plan can move, and which this instance has', () => {
  expect(stateInTheWay('bulk', 'SHUTOFF')).toBe('Needs status Active or Paused; this instance is Shutoff.');
  expect(stateInTheWay('drain', 'VERIFY_RESIZE')).toBe('Needs status Active, Paused or Shutoff; this instance is Verify Resize.');
  expect(stateInTheWay('evacuate', 'PAUSED')).toBe('Needs status Active, Shutoff or Error; this instance is Paused.');
  expect(stateInTheWay('bulk', 'ACTIVE')).toBe('Another task is in progress.');
});
