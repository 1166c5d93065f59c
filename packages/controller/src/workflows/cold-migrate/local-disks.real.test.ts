import { GuestState } from '@godwit/contract/gen/guest_pb';
import type { ServerId } from '@godwit/domain/ids';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import type { Engine } from '../engine.ts';
import { coldMoves } from '../testing/cold-moves.ts';
import { refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import type { FakeCloud } from '../testing/fake-cloud.ts';

let database: Database;
let cloud: FakeCloud;
const { server, record, host, status, idle, migrate, confirm, revert, consistent } = coldMoves((fresh) => ({ database, cloud } = fresh));

describe('local disks', () => {
  const local = async (engine: Engine): Promise<ServerId> => {
    const id = await cloud.server(engine, 'node1');
    await database.db.updateTable('disk').set({ storage: 'local', pool: 'local' }).where('server_id', '=', id).execute();
    return id;
  };
  const calls = (name: string, call: string) => host(name).calls.filter((one) => one.call === call).length;

  it('are copied while nothing runs, and deleted at the source when confirmed', async () => {
    const engine = await cloud.controller('c1', (name) => {
      if (name === 'cold:copied')
        expect(cloud.hosts.every((one) => [...one.guests.values()].every((guest) => guest.state === GuestState.SHUTOFF))).toBe(true);
    });
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished', 'error');
    expect(await record(migration)).toMatchObject({
      status: 'finished',
      disk_total_bytes: 4096,
      disk_processed_bytes: 4096,
      disk_remaining_bytes: 0,
    });
    expect([calls('node1', 'offerDisks'), calls('node2', 'fetchDisks'), calls('node1', 'destroyGuest')]).toEqual([1, 1, 0]);
    await confirm(engine, id);
    await status(migration, 'confirmed');
    expect(calls('node1', 'destroyGuest')).toBe(1);
    await consistent(id);
  });

  it('are copied back by a revert', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished');
    await revert(engine, id);
    await status(migration, 'reverted');
    expect([calls('node2', 'offerDisks'), calls('node1', 'fetchDisks'), calls('node2', 'destroyGuest')]).toEqual([1, 1, 1]);
    await consistent(id);
  });

  it('without room at the destination stay, and the guest runs on at its source', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    host('node2').faults.push({ call: 'fetchDisks', when: 'before', error: refusal('NoSpace', 'no room') });
    const migration = await migrate(engine, id);
    await status(migration, 'error');
    expect((await record(migration)).outcome).toMatchObject({ cause: 'NoSpace', runsOn: 'source' });
    expect(await server(id)).toMatchObject({ vm_state: 'active', host_id: host('node1').id });
    await consistent(id);
  });

  it('that cannot be copied back leave the server at the destination, running, to be reverted again', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    const migration = await migrate(engine, id);
    await status(migration, 'finished');
    host('node1').faults.push({ call: 'fetchDisks', when: 'before', error: refusal('NoSpace', 'no room') });
    await revert(engine, id);
    await idle(id);
    expect(await server(id)).toMatchObject({ vm_state: 'resized', power_state: 1, host_id: host('node2').id });
    expect(runningCopies(cloud.hosts, id)).toBe(1);
    await revert(engine, id);
    await status(migration, 'reverted');
    await consistent(id);
  });

  it('are copied again when the connection breaks', async () => {
    const engine = await cloud.controller('c1');
    const id = await local(engine);
    for (const call of ['offerDisks', 'fetchDisks'] as const)
      for (const one of cloud.hosts) one.faults.push({ call, when: 'before', error: silence() });
    const migration = await migrate(engine, id);
    await status(migration, 'finished', 'error');
    expect((await record(migration)).status).toBe('finished');
    expect(calls('node2', 'fetchDisks')).toBe(2);
  });
});
