import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { countThatFits, exceeded, overQuotaSentence, type ServerCharge } from './quotas.ts';

const limit = fc.integer({ min: -1, max: 50 });
const limits = fc.record({ instances: limit, cores: limit, ram: limit });
const used = fc.record({ instances: fc.nat(50), cores: fc.nat(50), ram: fc.nat(50) });
const each = fc.record({ cores: fc.nat(10), ram: fc.nat(10) });

describe('quotas', () => {
  it('counts the servers that fit: so many are not too much, one more is', () => {
    fc.assert(
      fc.property(limits, used, each, fc.integer({ min: 1, max: 30 }), (most, have, one, count) => {
        const fits = countThatFits(most, have, one, count);
        const charge = (n: number): ServerCharge => ({ instances: n, cores: one.cores * n, ram: one.ram * n });
        expect(fits).toBeGreaterThanOrEqual(0);
        expect(exceeded(most, have, charge(fits))).toEqual([]);
        if (fits < count) expect(exceeded(most, have, charge(fits + 1))).not.toEqual([]);
      }),
    );
  });
  it('says what is exceeded, in the words of the API', () => {
    const most = { instances: 2, cores: 4, ram: -1 };
    const have = { instances: 2, cores: 3, ram: 9 };
    const wanted = { instances: 1, cores: 2, ram: 1 };
    expect(overQuotaSentence(exceeded(most, have, wanted), most, have, wanted)).toBe(
      'Quota exceeded for instances, cores: Requested 1, 2, but already used 2, 3 of 2, 4 instances, cores',
    );
  });
});
