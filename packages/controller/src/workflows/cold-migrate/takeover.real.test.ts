import { describe, expect, it } from 'vitest';
import type { Engine } from '../engine.ts';
import { coldMoves } from '../testing/cold-moves.ts';
import { refusal, runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';

let cloud: FakeCloud;
const { server, record, host, status, migrate, confirm, revert, moved, consistent } = coldMoves((fresh) => ({ cloud } = fresh));

const forward = [
  'phase:accepted',
  'phase:preparing',
  'phase:stopping',
  'stop:answered',
  'cold:stopped',
  'phase:copying-disks',
  'cold:copied',
  'phase:starting',
  'cold:switched',
  'start:granted',
  'start:answered',
] as const;
const backward = ['cold:given-up', 'phase:starting'] as const;
const answers = [
  'phase:confirming',
  'cold:cleared',
  'phase:reverting',
  'cold:revert-stopped',
  'cold:reverted-host',
  'start:granted',
  'start:answered',
] as const;

/** A controller that dies (never goes on) at a point, and the successor of its name. */
async function dying(
  point: string,
  times = 1,
): Promise<{ engine: Engine; arm: () => void; reached: () => Promise<void>; succeed: () => Promise<Engine>; bury: () => void }> {
  let armed = false;
  let left = times;
  let died = false;
  let bury = (): void => {};
  const dead = new Promise<never>((_resolve, reject) => {
    bury = () => reject(new Error('killed'));
  });
  dead.catch(() => {});
  const engine = await cloud.controller('c1', async (name) => {
    if (!armed || name !== point || --left > 0) return;
    died = true;
    await dead;
  });
  return {
    engine,
    arm: () => void (armed = true),
    reached: () => until(async () => died),
    succeed: () => cloud.controller('c1'),
    bury: () => bury(),
  };
}

describe('a controller that dies', () => {
  it.each(forward)('at %s: its successor finishes the move', async (point) => {
    const first = await dying(point);
    const id = await cloud.server(first.engine, 'node1');
    first.arm();
    const migration = await migrate(first.engine, id);
    await first.reached();
    const second = await first.succeed();
    await status(migration, 'finished', 'error');
    expect((await record(migration)).outcome).toBeNull();
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    await confirm(second, id);
    await status(migration, 'confirmed');
    await consistent(id);
    expect((await server(id)).host_id).toBe(host('node2').id);
    first.bury();
  });

  it.each(backward)('on the way back, at %s: its successor brings the guest home', async (point) => {
    const first = await dying(point, point === 'phase:starting' ? 2 : 1);
    const id = await cloud.server(first.engine, 'node1');
    first.arm();
    host('node2').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    const migration = await migrate(first.engine, id);
    await first.reached();
    await first.succeed();
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id });
    await consistent(id);
    first.bury();
  });

  it.each(answers)('with the answer, at %s: its successor finishes it', async (point) => {
    const first = await dying(point);
    const { id, migration } = await moved(first.engine);
    first.arm();
    const confirming = point === 'phase:confirming' || point === 'cold:cleared';
    await (confirming ? confirm(first.engine, id) : revert(first.engine, id));
    await first.reached();
    await first.succeed();
    await status(migration, 'confirmed', 'reverted', 'error');
    expect((await record(migration)).status).toBe(confirming ? 'confirmed' : 'reverted');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host(confirming ? 'node2' : 'node1').id });
    await consistent(id);
    first.bury();
  });
});
