import { expect, test } from 'vitest';
import { rememberedAnswer } from './ceph-space.ts';

test('an answer is waited for once, given at once while it is known, and renewed behind', async () => {
  let nowMs = 0;
  const asked: PromiseWithResolvers<number>[] = [];
  const patience = Promise.withResolvers<void>();
  const answer = rememberedAnswer(
    () => {
      const one = Promise.withResolvers<number>();
      asked.push(one);
      return one.promise;
    },
    () => nowMs,
    () => patience.promise,
  );
  const both = [answer(), answer()];
  expect(asked.length).toBe(1);
  asked[0]?.resolve(1);
  expect(await Promise.all(both)).toEqual([1, 1]);
  nowMs = 15_000;
  expect([await answer(), asked.length]).toEqual([1, 1]);
  // Not fresh any more: given still, while the next one is asked for, once.
  nowMs = 20_000;
  expect([await answer(), await answer(), asked.length]).toEqual([1, 1, 2]);
  asked[1]?.reject(new Error('no cluster'));
  await expect(asked[1]?.promise).rejects.toThrow('no cluster');
  nowMs = 60_000;
  expect([await answer(), asked.length]).toEqual([1, 3]);
  asked[2]?.reject(new Error('no cluster'));
  await expect(asked[2]?.promise).rejects.toThrow('no cluster');
  // Nobody knows it any more: whoever asks is told why.
  nowMs = 60_001;
  const late = answer();
  expect(asked.length).toBe(4);
  asked[3]?.reject(new Error('no cluster'));
  await expect(late).rejects.toThrow('no cluster');
  // It says nothing at all: nobody waits for that for long, and what it says in the end holds for the next.
  nowMs = 90_001;
  const silent = answer();
  patience.resolve();
  await expect(silent).rejects.toMatchObject({ code: 'PoolUnavailable', message: expect.stringMatching(/does not answer.* 90 s old/) });
  asked[4]?.resolve(2);
  await asked[4]?.promise;
  expect([await answer(), asked.length]).toEqual([2, 5]);
});
