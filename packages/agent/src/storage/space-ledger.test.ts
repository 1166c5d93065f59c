import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import type { Pool } from './pool.ts';
import { SpaceLedger } from './space-ledger.ts';

const pool: Pool = { name: 'p', kind: 'local', path: '/p', poolId: 'id', io: { directIo: true } };

describe('claims of space', () => {
  test('made at the same time never promise more than there is', async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.array(fc.nat(500), { minLength: 1, maxLength: 10 }),
        fc.nat(1000),
        fc.nat(200),
        async (wanted, freeBytes, floor) => {
          const ledger = new SpaceLedger(() => Promise.resolve({ freeBytes }));
          const results = await Promise.allSettled(wanted.map((bytes) => ledger.claim(pool, bytes, floor)));
          const granted = wanted.filter((_bytes, i) => results[i]?.status === 'fulfilled').reduce((a, b) => a + b, 0);
          expect(granted).toBeLessThanOrEqual(Math.max(0, freeBytes - floor));
          for (const result of results) if (result.status === 'rejected') expect(result.reason).toMatchObject({ code: 'NoSpace' });
        },
      ),
    );
  });

  test('come back when released', async () => {
    const ledger = new SpaceLedger(() => Promise.resolve({ freeBytes: 100 }));
    const release = await ledger.claim(pool, 100, 0);
    await expect(ledger.claim(pool, 1, 0)).rejects.toMatchObject({
      code: 'NoSpace',
      message: expect.stringMatching(/room for 0 bytes, 1 are needed/),
    });
    release();
    await expect(ledger.claim(pool, 100, 0)).resolves.toBeTypeOf('function');
  });
});
