import { describe, expect, test } from 'vitest';
import { poolIo, sharedMoveRefusal } from './pool.ts';

describe('direct I/O', () => {
  test('is used wherever the file system offers it and nobody switched it off', () => {
    expect(poolIo({ kind: 'shared' }, true)).toEqual({ directIo: true });
    expect(poolIo({ kind: 'local', directIo: true }, true)).toEqual({ directIo: true });
    expect(poolIo({ kind: 'local', directIo: false }, true)).toMatchObject({ directIo: false });
  });

  test('a shared pool without it moves guests only when declared coherent', () => {
    const refused = { name: 'p', kind: 'shared', io: poolIo({ kind: 'shared' }, false) } as const;
    expect(sharedMoveRefusal(refused)).toMatchObject({
      code: 'InvalidSharedStorage',
      message: expect.stringMatching(/refuses direct I\/O/),
    });
    expect(sharedMoveRefusal({ ...refused, io: poolIo({ kind: 'shared', declaredCoherent: true }, false) })).toBeNull();
    expect(sharedMoveRefusal({ ...refused, io: { directIo: true } })).toBeNull();
  });

  test('a local pool is never moved as if it were shared', () => {
    expect(sharedMoveRefusal({ name: 'p', kind: 'local', io: { directIo: true } })).toMatchObject({ code: 'InvalidSharedStorage' });
  });
});
