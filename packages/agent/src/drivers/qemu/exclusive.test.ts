import { as, type ServerId } from '@godwit/domain/ids';
import { expect, test } from 'vitest';
import { oneAtATime } from './exclusive.ts';

const server = as<ServerId>('00000000-0000-4000-8000-000000000001');

test('another operation is refused while one is under way; the same one has one result; afterwards either begins anew', async () => {
  const exclusive = oneAtATime();
  const gate = Promise.withResolvers<string>();
  let begun = 0;
  const prepare = (): Promise<string> => {
    begun += 1;
    return gate.promise;
  };
  const first = exclusive(server, prepare, 'prepare m1');
  const again = exclusive(server, prepare, 'prepare m1');
  await expect(exclusive(server, prepare, 'prepare m2')).rejects.toMatchObject({ code: 'Conflict' });
  await expect(exclusive(server, prepare)).rejects.toMatchObject({ code: 'Conflict' });
  gate.resolve('ready');
  expect(await Promise.all([first, again])).toEqual(['ready', 'ready']);
  expect(begun).toBe(1);
  await exclusive(server, prepare);
  expect(begun).toBe(2);
});

test('what fails, fails for all who asked for it, and leaves the server free', async () => {
  const exclusive = oneAtATime();
  const gate = Promise.withResolvers<never>();
  const both = [exclusive(server, () => gate.promise, 'start'), exclusive(server, () => gate.promise, 'start')];
  gate.reject(new Error('no'));
  expect((await Promise.allSettled(both)).map(({ status }) => status)).toEqual(['rejected', 'rejected']);
  expect(await exclusive(server, async () => 'free')).toBe('free');
});
