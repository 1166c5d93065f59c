import { taskStates, vmStates } from '@godwit/domain/server';
import { serverStatus } from '@godwit/domain/server-states';
import { expect, it } from 'vitest';
import { statusWords, words } from './words.ts';

it('has a word for every status that an instance can be in', () => {
  const statuses = new Set(vmStates.flatMap((vm) => [null, ...taskStates].map((task) => serverStatus(vm, task))));
  expect([...statuses].filter((status) => statusWords[status] === undefined)).toEqual([]);
});

it('has the words that operators know, as they know them', () => {
  const { actions, dialog, fields } = words;
  const migrating = [actions['live-migrate'], actions.migrate, actions['confirm-resize'], actions['revert-resize']];
  expect(migrating).toEqual(['Live Migrate', 'Migrate', 'Confirm Resize or Migrate', 'Revert Resize or Migrate']);
  expect(Object.values(dialog)).toEqual(['Confirm', 'Cancel']);
  expect(Object.values(fields)).toEqual(['Instance', 'Current Host', 'Destination Host', 'Block Migrate']);
  const known = [
    'Active',
    'Paused',
    'Shutoff',
    'Migrating',
    'Resize',
    'Verify Resize',
    'Revert Resize',
    'Build',
    'Error',
    'Suspended',
    'Reboot',
  ];
  expect(Object.values(statusWords)).toEqual(expect.arrayContaining(known));
  expect(words.administratorRequired).toBe('Administrator access required: this needs the `admin` role. Contact your administrator.');
});
