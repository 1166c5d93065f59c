import { GodwitError } from '@godwit/domain/errors';
import { expect, test } from 'vitest';
import { openPools } from './open-pools.ts';
import type { Pool, PoolConfig } from './pool.ts';

const config = (name: string): PoolConfig => ({ name, kind: 'shared', path: `/${name}` });
const pool = (name: string): Pool => ({ name, kind: 'shared', path: `/${name}`, poolId: name, io: { directIo: true } });
const never = (): Promise<never> => new Promise(() => undefined);

type Line = readonly [level: string, pool: unknown, message: string];
function recorder() {
  const lines: Line[] = [];
  const at =
    (level: string) =>
    (fields: Record<string, unknown>, message: string): void =>
      void lines.push([level, fields['pool'], message]);
  return { lines, log: { info: at('info'), warn: at('warn'), error: at('error') } };
}

test('a pool that does not answer keeps the host from nothing, and comes in when it does, in its place', async () => {
  const patience = Promise.withResolvers<void>();
  const slow = Promise.withResolvers<Pool>();
  const { lines, log } = recorder();
  const opening = openPools([config('silent'), config('good')], log, {
    open: ({ name }) => (name === 'silent' ? slow.promise : Promise.resolve(pool(name))),
    patience: () => patience.promise,
    again: never,
  });
  patience.resolve();
  const pools = await opening;
  expect([...pools.keys()]).toEqual(['good']);
  expect(lines).toEqual([['error', 'silent', 'a storage pool is left out: it does not answer yet']]);
  slow.resolve(pool('silent'));
  await expect.poll(() => [...pools.keys()], { timeout: 10_000 }).toEqual(['silent', 'good']);
  expect(lines.at(-1)).toEqual(['info', 'silent', 'a storage pool that was left out has come in']);
});

test('a pool that cannot be used is tried again until it can', async () => {
  let tries = 0;
  const { lines, log } = recorder();
  const pools = await openPools([config('a')], log, {
    open: ({ name }) => (++tries < 3 ? Promise.reject(new GodwitError('PoolUnavailable', 'not mounted')) : Promise.resolve(pool(name))),
    patience: never,
    again: () => Promise.resolve(),
  });
  await expect.poll(() => pools.get('a'), { timeout: 10_000 }).toEqual(pool('a'));
  expect(lines.map(([level, , message]) => [level, message])).toEqual([
    ['error', 'a storage pool is left out'],
    ['warn', 'a storage pool is still left out'],
    ['info', 'a storage pool that was left out has come in'],
  ]);
  expect(tries).toBe(3);
});

test('no pool, no waiting', async () => {
  const { log } = recorder();
  expect([...(await openPools([], log, { patience: never, again: never })).keys()]).toEqual([]);
});
