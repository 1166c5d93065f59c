import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createAttention } from './attention.ts';

it('is the time since the last break, whatever the steps', () => {
  fc.assert(
    fc.property(fc.nat(1_000), fc.array(fc.oneof(fc.nat(3_000), fc.constant('lost' as const)), { minLength: 1 }), (breakMs, steps) => {
      const attention = createAttention(breakMs);
      let now = 5_000;
      let unbroken = 0;
      let isLost = true;
      for (const step of steps) {
        if (step === 'lost') {
          attention.lose();
          isLost = true;
          continue;
        }
        now += step;
        unbroken = isLost || step > breakMs ? 0 : unbroken + step;
        isLost = false;
        expect(attention.look(now)).toBe(unbroken);
      }
    }),
  );
});
