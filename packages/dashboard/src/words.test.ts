import { taskStates, vmStates } from '@godwit/domain/server';
import { serverStatus } from '@godwit/domain/server-states';
import { expect, it } from 'vitest';
import { statusWords } from './words.ts';

it('has a word for every status that an instance can be in', () => {
  const statuses = new Set(vmStates.flatMap((vm) => [null, ...taskStates].map((task) => serverStatus(vm, task))));
  expect([...statuses].filter((status) => statusWords[status] === undefined)).toEqual([]);
});
