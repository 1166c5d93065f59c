import { as, type ServerId } from '@godwit/domain/ids';
import { expect, test } from 'vitest';
import { Clearing } from './clearing.ts';
import type { QemuHost } from './qemu-host.ts';

const server = as<ServerId>('00000000-0000-4000-8000-000000000001');

test('a step that fails is told, and keeps none behind it from being done', async () => {
  const warnings: unknown[] = [];
  const done: string[] = [];
  const log = { warn: (what: unknown) => warnings.push(what) } as unknown as QemuHost['log'];
  const clearing = new Clearing(log);
  clearing.add(
    server,
    () => Promise.reject(new Error('no space left on device')),
    async () => done.push('disk'),
  );
  clearing.add(server, async () => done.push('settled'));
  await clearing.done(server);
  expect(done).toEqual(['disk', 'settled']);
  expect(warnings).toHaveLength(1);
});
