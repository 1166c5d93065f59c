import { expect, it } from 'vitest';
import type { FakeCloud } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

// A controller that looks for work once in ten minutes: whatever is done is done because it was told.
let cloud: FakeCloud;
const { readMove, ended, move } = liveMoves((fresh) => ({ cloud } = fresh), 600_000);

it('accepted to first step takes no poll', async () => {
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  for (let round = 0; round < 3; round++) {
    const migration = await move(engine, id, null);
    await ended(migration);
    expect((await readMove(migration)).status).toBe('completed');
  }
});
