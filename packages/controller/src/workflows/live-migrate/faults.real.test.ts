import { GuestState } from '@godwit/contract/gen/guest_pb';
import { REFUSALS } from '@godwit/domain/custody/refusal';
import { as, asFence, type BootId, type MigrationId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import pino from 'pino';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import { stepCustody } from '../custody/custody-store.ts';
import { factListener } from '../facts/note-facts.ts';
import { fakeAgents, refusal, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';
import type { WorkflowContext } from '../workflow-context.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, hostNamed, move, consistent } = liveMoves((fresh) => ({ database, cloud } = fresh));

describe('faults', () => {
  it.each([
    ['prepareIncoming', refusal('IncompatibleCpu', 'the CPU lacks avx2'), 'failed', 'IncompatibleCpu'],
    ['prepareIncoming', refusal('NoSpace', 'no space left'), 'failed', 'NoSpace'],
    ['prepareIncoming', refusal('ForbiddenCombination', 'an old QEMU'), 'failed', 'ForbiddenCombination'],
    ['startOutgoing', refusal('ForbiddenCombination', 'an old QEMU'), 'failed', 'ForbiddenCombination'],
    ['startOutgoing', refusal('custody-not-armed', 'no'), 'failed', 'StreamFailed'],
  ] as const)('%s refused: %s', async (call, error, status, cause) => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    for (const host of cloud.hosts) host.faults.push({ call, when: 'before', error });
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status, outcome: { cause, runsOn: 'source' } });
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.RUNNING);
    await consistent(id, migration);
  });

  it('a host that cannot be prepared is left out, and the next one takes the guest', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    // The emptier host is chosen first, and will not have it.
    await cloud.server(engine, 'node3');
    hostNamed('node2').faults.push({ call: 'prepareIncoming', when: 'before', error: refusal('NoSpace', 'no space left') });
    const migration = await move(engine, id, null);
    await ended(migration);
    const record = await readMove(migration);
    expect(record.attempts).toMatchObject([{ host: 'node2', cause: 'NoSpace' }]);
    expect(record).toMatchObject({ status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
    expect(record.destination_host_id).toBe(hostNamed('node3').id);
    expect(JSON.stringify(record.verdicts)).toContain('this move has failed there');
    await consistent(id, migration);
    const events = await database.db
      .selectFrom('instance_action_event')
      .innerJoin('instance_action', 'instance_action.id', 'instance_action_event.action_id')
      .select(['event', 'result', 'instance_action.message'])
      .where('instance_action.action', '=', 'live-migration')
      .orderBy('instance_action_event.id')
      .execute();
    expect(events.map(({ event, result }) => `${event} ${result}`)).toEqual([
      'conductor_live_migrate_instance Success',
      'compute_live_migration Error',
      'conductor_live_migrate_instance Success',
      'compute_live_migration Success',
    ]);
    expect(events[0]?.message).toBeNull();
  });

  it.each([
    ['no other is left', null, 2],
    ['the host was asked for', 'node2', 1],
  ])('a host that cannot be prepared ends the move when %s: its cause is the cause', async (_why, wanted, asked) => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    for (const host of cloud.hosts)
      host.faults.push({ call: 'prepareIncoming', when: 'before', error: refusal('NoSpace', 'no space left') });
    const migration = await move(engine, id, wanted);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'NoSpace', runsOn: 'source' } });
    expect(cloud.hosts.filter((host) => host.faults.length === 0).length).toBe(asked);
    await consistent(id, migration);
  });

  it.each(['prepareIncoming', 'startOutgoing', 'awaitMigration', 'finishIncoming', 'dropOutgoing', 'getMigration'] as const)(
    'the answer of %s is lost: the move completes all the same',
    async (call) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      for (const host of cloud.hosts) host.faults.push({ call, when: 'after', error: silence() });
      const migration = await move(engine, id);
      await ended(migration);
      expect((await readMove(migration)).status).toBe('completed');
      await consistent(id, migration);
    },
  );

  it('a source that cannot write down that it drops its copy: the move is complete, and it is told again until it can', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    // The move's own order, and the first of those behind it.
    hostNamed('node1').failingDrops = 2;
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { runsOn: 'destination' } });
    await until(async () => (await readServer(id)).custody.remains.length === 0);
    expect(hostNamed('node1').failingDrops).toBe(0);
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.SHUTOFF);
  });

  it('a source that has obeyed a higher fence than the database has given drops its copy under one above it', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const known = 1_000_000;
    hostNamed('node1').faults.push({ call: 'dropOutgoing', when: 'before', error: refusal('custody-fence-low', 'low', 0, known) });
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { runsOn: 'destination' } });
    await until(async () => (await readServer(id)).custody.remains.length === 0);
    expect(hostNamed('node1').guests.get(id)).toMatchObject({
      state: GuestState.SHUTOFF,
      fence: expect.toSatisfy((fence) => fence > known),
    });
  });

  it("a move that a recovery has turned back while it was prepared is given up, and its cause is the database's", async () => {
    const turn = async (name: string): Promise<void> => {
      if (name !== 'preparing:granted') return;
      await sql`update server set custody = jsonb_set(custody, '{operation,step}', '"disarming"') where task_state = 'migrating'`.execute(
        database.db,
      );
    };
    const engine = await cloud.controller('c1', turn);
    const id = await cloud.server(engine, 'node1');
    // Its answer is lost: the destination is asked again.
    for (const host of cloud.hosts) host.faults.push({ call: 'prepareIncoming', when: 'before', error: silence() });
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'CustodyUnknown', runsOn: 'source' } });
    expect(cloud.hosts.flatMap(({ calls }) => calls).filter(({ call }) => call === 'prepareIncoming')).toHaveLength(1);
    await consistent(id, migration);
  });

  it('a destination that has booted again, and was not reached since: the grant is for the boot that it is in', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node2').bootId = 'boot-node2-2';
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
    await consistent(id, migration);
  });

  it('a destination that does not say in which boot it is: nothing is granted to it', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node2').bootId = '';
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({
      status: 'failed',
      epoch_to: null,
      outcome: { cause: 'PrepareFailed', runsOn: 'source' },
    });
    expect(await readServer(id)).toMatchObject({ highest_epoch: 1, vm_state: 'active' });
    await consistent(id, migration);
  });

  it('a destination that was fenced since it was chosen is granted nothing, whatever it answers; let back, it is', async () => {
    const { id: destination, bootId } = hostNamed('node2');
    const fence = (values: { fenced_at: Date | null; fenced_boot_id: string | null }) =>
      database.db.updateTable('host').set(values).where('id', '=', destination).execute();
    const fenced: string[] = [];
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'phase:preparing') return;
      await fence({ fenced_at: new Date(), fenced_boot_id: bootId });
      fenced.push(name);
    });
    // Of this one nobody has said that it ended there: the host is not let back.
    await cloud.server(engine, 'node2');
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id);
    await until(async () => fenced.length > 0);
    await expect(until(async () => (await readServer(id)).custody.operation !== null, 1_000)).rejects.toThrow();
    const begin = { kind: 'beginMove', migrationId: as<MigrationId>(migration), destination, bootId: as<BootId>(bootId) } as const;
    const { fence: current } = await readServer(id);
    const stepped = database.db
      .transaction()
      .execute((tx) => stepCustody(tx, id, asFence(current), [{ ...begin, endState: 'running', postCopy: false }]));
    await expect(stepped).rejects.toThrow(REFUSALS['custody-host-fenced']);
    expect(hostNamed('node2').calls.filter(({ call }) => call === 'prepareIncoming')).toEqual([]);
    await fence({ fenced_at: null, fenced_boot_id: null });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
    await consistent(id, migration);
  });

  it('a listing of the boot before, read late, ends nothing that was started since', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const { id: host, bootId: before } = hostNamed('node2');
    hostNamed('node2').bootId = 'boot-node2-2';
    const migration = await move(engine, id);
    await ended(migration);
    const row = await readServer(id);
    const context = { db: database.db, agents: fakeAgents(cloud.hosts), log: pino({ level: 'silent' }) } as unknown as WorkflowContext;
    await factListener(context).onReport({ host, bootId: before, previousBootId: before, guests: [], migrations: [] });
    expect(await readServer(id)).toEqual(row);
    expect(row).toMatchObject({ vm_state: 'active', custody: { holder: { kind: 'host', hostId: host } } });
  });

  it('a source that fails runs on, and the cause is its own word', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => hostNamed('node1').moves.has(migration));
    const source = hostNamed('node1').moves.get(migration);
    if (source !== undefined) Object.assign(source, { state: 'failed', cause: 'DestinationDied' });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'DestinationDied', runsOn: 'source' } });
    await consistent(id, migration);
  });

  it('a source that has rebooted before it could begin: SHUTOFF, and the cause is the reboot', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const source = hostNamed('node1');
    source.bootId = 'boot-node1-2';
    source.guests.clear();
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'SourceDied', runsOn: 'nowhere' } });
    expect(await readServer(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, custody: { holder: { kind: 'nowhere' } } });
    await consistent(id, migration);
  });

  it('a source whose QEMU has ended before it could begin: nobody runs, and that is the cause', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').guests.clear();
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'SourceDied', runsOn: 'nowhere' } });
    await consistent(id, migration);
  });

  it('a guest that powers off during the copy ends SHUTOFF, truthfully', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => hostNamed('node1').moves.has(migration));
    const source = hostNamed('node1').moves.get(migration);
    const guest = hostNamed('node1').guests.get(id);
    if (source === undefined || guest === undefined) throw new Error('no move');
    guest.state = GuestState.SHUTOFF;
    Object.assign(source, { state: 'guest-gone', cause: 'GuestPoweredOff', guest: GuestState.SHUTOFF });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'GuestPoweredOff', runsOn: 'nowhere' } });
    expect(await readServer(id)).toMatchObject({ vm_state: 'stopped', power_state: 4, custody: { holder: { kind: 'nowhere' } } });
    await consistent(id, migration);
  });

  it('a guest that a disk has stopped during the copy stays at the source, in ERROR with the reason, and is not ended', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => hostNamed('node1').moves.has(migration));
    const source = hostNamed('node1').moves.get(migration);
    const guest = hostNamed('node1').guests.get(id);
    if (source === undefined || guest === undefined) throw new Error('no move');
    guest.state = GuestState.IO_ERROR;
    Object.assign(source, { state: 'failed', cause: 'GuestDiskError', guest: GuestState.IO_ERROR });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'GuestDiskError', runsOn: 'nowhere' } });
    expect(await readServer(id)).toMatchObject({
      vm_state: 'error',
      power_state: 6,
      host_id: hostNamed('node1').id,
      custody: { holder: { kind: 'host', hostId: hostNamed('node1').id } },
    });
    expect(guest.state).toBe(GuestState.IO_ERROR);
    expect(hostNamed('node2').moves.get(migration)?.state).toBe('forfeited');
    await consistent(id, migration);
  });

  it('a guest that arrives standing still is at the destination, in ERROR with the reason, and is not ended', async () => {
    const destination = hostNamed('node2');
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'phase:committing') return;
      const [arrived] = destination.moves.values();
      const guest = destination.guests.get(arrived?.grant.serverId ?? '');
      if (arrived === undefined || guest === undefined) throw new Error('nothing has arrived');
      arrived.guest = guest.state = GuestState.IO_ERROR;
    });
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({
      status: 'error',
      outcome: { cause: 'GuestDiskError', runsOn: 'nowhere', sentence: expect.stringContaining('there it stands still') },
    });
    expect(await readServer(id)).toMatchObject({
      vm_state: 'error',
      host_id: destination.id,
      custody: { holder: { kind: 'host', hostId: destination.id } },
    });
    expect(destination.guests.get(id)?.state).toBe(GuestState.IO_ERROR);
    await consistent(id, migration);
  });

  it('a destination that dies before it could take forfeits, and the source runs on', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node2').onRelease = 'dies';
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'DestinationDied', runsOn: 'source' } });
    expect(hostNamed('node2').moves.get(migration)?.state).toBe('forfeited');
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.RUNNING);
    await consistent(id, migration);
  });

  it('a database that has travelled back, and a host that does not say what it has: the move is given up, and ends when that host is back', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const silent = hostNamed('node3');
    silent.down = true;
    await sql`update server set custody = jsonb_set(custody, '{behind}', 'true') where id = ${id}`.execute(database.db);
    const migration = await move(engine, id);
    // It waits for that host as long as a move does, and gives up.
    await until(async () => (await readMove(migration)).outcome !== null, 60_000);
    expect(await readMove(migration)).toMatchObject({ finished_at: null });
    expect((await readServer(id)).custody.operation).toMatchObject({ kind: 'recovery', waitingFor: expect.arrayContaining([silent.id]) });
    silent.down = false;
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'failed', outcome: { cause: 'CustodyUnknown', runsOn: 'source' } });
    await consistent(id, migration);
  }, 120_000);
});
