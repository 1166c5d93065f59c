import fc from 'fast-check';
import { expect, it } from 'vitest';
import { createPrecedence } from './precedence.ts';

const turn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

it('never holds up requests; the background has its least, more only beside few requests, and comes in its order', async () => {
  const events = fc.array(fc.constantFrom('request', 'answered', 'work', 'done'), { maxLength: 60 });
  const sizes = fc.record({ together: fc.integer({ min: 1, max: 8 }), least: fc.integer({ min: 1, max: 3 }) });
  await fc.assert(
    fc.asyncProperty(sizes, events, async (size, steps) => {
      const { requests, background } = createPrecedence(size);
      let ahead = 0;
      let behind = 0;
      let asked = 0;
      const entered: number[] = [];
      for (const step of steps) {
        const before = behind;
        if (step === 'request') {
          await requests.enter();
          ahead += 1;
        } else if (step === 'answered' && ahead > 0) {
          ahead -= 1;
          requests.leave();
        } else if (step === 'work') {
          const mine = asked++;
          void background.enter().then(() => {
            behind += 1;
            entered.push(mine);
          });
        } else if (step === 'done' && behind > 0) {
          behind -= 1;
          background.leave();
        }
        await turn();
        // Nobody waits who might be let in, and nobody was let in who might not.
        const most = Math.max(size.least, size.together - ahead);
        expect(behind).toBeGreaterThanOrEqual(Math.min(asked - (entered.length - behind), most));
        if (behind > before) expect(behind).toBeLessThanOrEqual(most);
      }
      expect(entered).toEqual(entered.map((_, index) => index));
    }),
  );
});
