import { describe, expect, it } from 'vitest';
import { coldMoves } from '../testing/cold-moves.ts';
import { refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';

let cloud: FakeCloud;
const { server, record, host, status, idle, migrate, confirm, revert, moved, consistent } = coldMoves((fresh) => ({ cloud } = fresh));

describe('faults', () => {
  it('a destination that does not answer is replaced while nothing has changed; a named one is not', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node2').down = true;
    const migration = await migrate(engine, id, null);
    await status(migration, 'finished');
    expect((await server(id)).host_id).toBe(host('node3').id);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    await consistent(id);
    const named = await migrate(engine, id, 'node2');
    await status(named, 'error');
    expect((await record(named)).outcome).toMatchObject({ cause: 'DestinationDown', runsOn: 'source' });
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('a guest that cannot be stopped stays where it is', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node1').faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'no') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, epoch: 1 });
    await consistent(id);
  });

  it('a start that fails at the destination brings the guest back to its source, running, with its flavor', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    host('node2').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no such CPU') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({
      cause: 'StartFailed',
      runsOn: 'source',
      evidence: ['GuestStartFailed: no such CPU'],
    });
    expect(await server(id)).toMatchObject({ vm_state: 'active', power_state: 1, host_id: host('node1').id, flavor_id: 'f1', epoch: 3 });
    await consistent(id);
  });

  it('a start that fails on both sides leaves it stopped at its source, and it can be started there', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    for (const name of ['node1', 'node2'])
      host(name).faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'StartFailed', runsOn: 'nowhere' });
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, host_id: host('node1').id });
    await consistent(id);
    await engine.operations.start(cloud.admin, id);
    await idle(id);
    expect((await server(id)).vm_state).toBe('active');
    await consistent(id);
  });

  it('a revert whose start fails leaves it stopped at its source, the record in error', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    host('node1').faults.push({ call: 'startGuest', when: 'before', error: refusal('GuestStartFailed', 'no') });
    await revert(engine, id);
    await status(migration, 'error', 'reverted');
    expect(await record(migration)).toMatchObject({ status: 'error', outcome: { cause: 'StartFailed', runsOn: 'nowhere' } });
    expect(await server(id)).toMatchObject({ vm_state: 'stopped', host_id: host('node1').id });
    await consistent(id);
  });

  it('a revert whose destination does not stop the guest can be tried again', async () => {
    const engine = await cloud.controller('c1');
    const { id, migration } = await moved(engine);
    host('node2').faults.push({ call: 'stopGuest', when: 'before', error: refusal('custody-migrating', 'no') });
    await revert(engine, id);
    await idle(id);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', host_id: host('node2').id });
    expect((await record(migration)).status).toBe('finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    await consistent(id);
  });

  it('a destination that falls silent with the grant is waited for; it forfeits, and the guest comes home', async () => {
    const engine = await cloud.controller('c1', async (name) => {
      if (name === 'start:granted' && armed) host('node2').down = true;
    });
    let armed = false;
    const id = await cloud.server(engine, 'node1');
    armed = true;
    const migration = await migrate(engine, id);
    await until(async () => ((await record(migration)).outcome as { ends?: string } | null)?.ends !== undefined, 25_000);
    // Nobody knows whether it runs there: nothing is started at the source.
    expect(runningCopies(cloud.hosts, id)).toBe(0);
    expect(await server(id)).toMatchObject({ task_state: 'resize_finish', custody: { operation: { step: 'forfeiting' } } });
    armed = false;
    host('node2').down = false;
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'DestinationDown', runsOn: 'source' });
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id, epoch: 3 });
    await consistent(id);
  }, 60_000);

  it.each(['getHost', 'stopGuest', 'startGuest', 'destroyGuest'] as const)('the answer of %s is lost: it is asked again', async (call) => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await migrate(engine, id, call === 'getHost' ? null : 'node2');
    await status(migration, 'finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    for (const one of cloud.hosts) one.faults.push({ call, when: 'after', error: silence() });
    const again = await migrate(engine, id, null);
    await status(again, 'finished', 'error');
    await confirm(engine, id);
    await status(again, 'confirmed');
    expect((await server(id)).vm_state).toBe('active');
    for (const one of cloud.hosts) one.faults.length = 0;
    await consistent(id);
  });
});
