import { Code, ConnectError } from '@connectrpc/connect';
import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, asFence, type BootId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import pino from 'pino';
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from 'vitest';
import { readWaysOut } from '../../api/godwit/ways-out.ts';
import type { Database } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { stepCustody } from '../custody/custody-store.ts';
import type { Engine } from '../engine.ts';
import { factListener } from '../facts/note-facts.ts';
import { fakeAgents, refusal, runningCopies, silence } from '../testing/fake-agents.ts';
import { type FakeCloud, fakeCloud, until } from '../testing/fake-cloud.ts';
import type { WorkflowContext } from '../workflow-context.ts';

let postgres: TestServer;
let database: Database;
let cloud: FakeCloud;
beforeAll(async () => {
  postgres = await startTestServer();
}, 60_000);
afterAll(() => postgres.stop(), 60_000);
beforeEach(async () => {
  database = await postgres.database();
  cloud = await fakeCloud(database);
});
afterEach(async () => {
  await cloud.stop();
  await database.close();
});

const readServer = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const readMove = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
const ended = (id: string, deadlineMs?: number) => until(async () => (await readMove(id)).finished_at !== null, deadlineMs);
const phase = (id: string, wanted: string) => until(async () => (await readMove(id)).phase === wanted);
const hostNamed = (name: string) => {
  const host = cloud.hosts.find((one) => one.name === name);
  if (host === undefined) throw new Error(name);
  return host;
};
const onLocalDisks = async (id: string): Promise<readonly string[]> => {
  const disks = database.db.updateTable('disk').set({ storage: 'local', pool: 'local' }).where('server_id', '=', id);
  return (await disks.returning('id').execute()).map((disk) => disk.id);
};
const move = (engine: Engine, id: ServerId, host: string | null = 'node2', blockMigration: boolean | 'auto' = 'auto') =>
  engine.operations.liveMigrate({ ...cloud.admin, requestId: 'req-move' }, id, {
    host,
    blockMigration,
    force: false,
    checksBeforeAnswer: false,
  });

/** What must hold whenever a move has ended, however it did. */
async function consistent(serverId: string, migrationId: string): Promise<void> {
  const [server, migration] = await Promise.all([readServer(serverId), readMove(migrationId)]);
  expect(runningCopies(cloud.hosts, serverId)).toBeLessThanOrEqual(1);
  expect(server.task_state).toBeNull();
  expect(migration.outcome).not.toBeNull();
  const allocations = await database.db
    .selectFrom('allocation')
    .select(['consumer_id', 'host_id'])
    .where('server_id', '=', serverId)
    .execute();
  expect(allocations).toEqual([{ consumer_id: serverId, host_id: server.host_id }]);
  if (server.custody.holder.kind === 'host') {
    expect(server.custody.holder.hostId).toBe(server.host_id);
    const guest = cloud.hosts.find((host) => host.id === server.host_id)?.guests.get(serverId);
    expect(guest?.epoch).toBe(server.epoch);
  }
  expect(server.custody.operation).toBeNull();
}

describe('a live migration', () => {
  it('moves a guest; record, ledger, custody and server agree at the end', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id);
    expect((await readServer(id)).task_state).toBe('migrating');
    await ended(migration);
    const row = await readMove(migration);
    expect(row).toMatchObject({
      status: 'completed',
      phase: 'completed',
      source_host_id: hostNamed('node1').id,
      destination_host_id: hostNamed('node2').id,
      epoch_from: 1,
      epoch_to: 2,
    });
    expect(row.outcome).toMatchObject({ cause: null, runsOn: 'destination', evidence: [] });
    // Stopped 1000 at the source, resumed 1512 at the destination, whose clock is 500 ahead.
    expect(row.measures).toMatchObject({ blackoutMs: 12, ownShareMs: 2, qemuDowntimeMs: 9, clockErrorMs: 0.2 });
    expect(Object.keys(row.phase_durations_ms).toSorted()).toEqual([
      'accepted',
      'committing',
      'copying',
      'preparing',
      'queued',
      'scheduling',
      'switchover',
    ]);
    expect(await readServer(id)).toMatchObject({
      vm_state: 'active',
      power_state: 1,
      host_id: hostNamed('node2').id,
      epoch: 2,
      custody: { remains: [] },
    });
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.SHUTOFF);
    await consistent(id, migration);
    // Why there is told with the action, the hosts that it was not given too.
    const decision = await database.db
      .selectFrom('instance_action_event')
      .innerJoin('instance_action', 'instance_action.id', 'instance_action_event.action_id')
      .select(['instance_action_event.result', 'instance_action_event.details'])
      .where('instance_action.server_id', '=', id)
      .where('event', '=', 'conductor_live_migrate_instance')
      .executeTakeFirstOrThrow();
    expect(decision).toMatchObject({ result: 'Success', details: expect.stringContaining('node2') });
    expect(decision.details).toContain('the server is on this host');
    expect(row.verdicts).toMatchObject({ ranked: [{ host: 'node2', rank: 1 }], passing: 1 });
  });

  const withAgent = async (before?: () => void): Promise<{ readonly engine: Engine; readonly id: ServerId }> => {
    await database.db
      .updateTable('image')
      .set({ properties: JSON.stringify({ hw_qemu_guest_agent: 'Yes' }) })
      .where('id', '=', cloud.imageId)
      .execute();
    const engine = await cloud.controller('c1');
    before?.();
    return { engine, id: await cloud.server(engine, 'node1') };
  };
  const timed = async (migration: string, meanwhile?: () => Promise<unknown>) => {
    await ended(migration);
    await until(async () => {
      await meanwhile?.();
      return (await readMove(migration)).measures.guestTime !== undefined;
    });
    const row = await readMove(migration);
    expect(row).toMatchObject({ status: 'completed', outcome: { cause: null, evidence: [] } });
    expect(row.measures).toMatchObject({ blackoutMs: 12, hostClockOffsetMs: 500 });
    expect(row.timeline.filter(({ what }) => what === 'guest clock')).toEqual([row.timeline.at(-1)]);
    return { time: row.measures.guestTime, last: row.timeline.at(-1) };
  };

  it('sets the clock of a guest with an agent when the record is terminal, says so in it, and ends the move whatever the agent does', async () => {
    const { engine, id } = await withAgent();
    expect(await readServer(id)).toMatchObject({ guest_agent: true, machine_guest_agent: true });
    expect(await timed(await move(engine, id))).toMatchObject({
      time: { outcome: 'set', driftBeforeMs: -21.5, driftAfterMs: 0.25, errorMs: 1.5, detail: '' },
      last: { what: 'guest clock', detail: 'set: 21.5 ms behind before, 0.3 ms ahead now (± 1.5 ms)' },
    });
    hostNamed('node1').faults.push({ call: 'syncGuestTime', when: 'before', error: refusal('Internal', 'the socket\u0000 is gone') });
    expect(await timed(await move(engine, id, 'node1'))).toMatchObject({
      time: { outcome: 'not-asked', driftBeforeMs: null, detail: 'its host refused: Internal: the socket is gone' },
    });
    // A host whose agent knows of no such call.
    hostNamed('node2').faults.push({ call: 'syncGuestTime', when: 'before', error: new ConnectError('unknown', Code.Unimplemented) });
    expect((await timed(await move(engine, id))).time).toMatchObject({
      outcome: 'not-asked',
      detail: expect.stringContaining('upgrade it'),
    });
    // What a guest says, through an agent that lets it pass: neither the database nor a terminal is its own.
    const evil = `\u001b[2J\u0000${'x'.repeat(60_000)}`;
    hostNamed('node1').guestTimes.push({ outcome: 'not-set', driftBeforeMs: -9, errorMs: Number.NaN, detail: evil });
    const { time, last } = await timed(await move(engine, id, 'node1'));
    expect(time).toMatchObject({ outcome: 'not-set', errorMs: null });
    for (const text of [time?.detail, last?.detail]) {
      expect(text).toMatch(/x{150}…$/);
      expect(text).not.toMatch(/\p{Cc}/u);
      expect(text?.length).toBeLessThan(260);
    }
  });

  it('looks again at a guest that an order may still reach, and tells what its hosts refused as theirs', async () => {
    const { engine, id } = await withAgent();
    // As from another controller: it waits half a minute otherwise.
    const client = await database.connect('test');
    const wake = (migration: string) => client.query("select pg_notify('godwit_wake', $1)", [migration]);
    const open = { outcome: 'unsure', driftBeforeMs: -40_000, errorMs: 1, detail: 'an order was given' };
    hostNamed('node2').guestTimes.push(open, open);
    const first = await move(engine, id);
    expect(await timed(first, () => wake(first))).toMatchObject({
      time: { outcome: 'set', driftBeforeMs: -40_000, driftAfterMs: 0.25, detail: expect.stringContaining('looked at again') },
    });
    // Not for ever.
    hostNamed('node1').guestTimes.push(open, open, open, open);
    const second = await move(engine, id, 'node1');
    expect((await timed(second, () => wake(second))).time).toMatchObject({ outcome: 'unsure', detail: 'an order was given' });
    expect(hostNamed('node1').guestTimes.splice(0)).toHaveLength(1);
    await client.end();
    // A newer operation of the server is in charge at its host: the next run's fence is newer.
    const calls = () => hostNamed('node2').calls.filter(({ call }) => call === 'syncGuestTime');
    const before = calls().length;
    hostNamed('node2').faults.push({ call: 'syncGuestTime', when: 'before', error: refusal('custody-fence-low', 'low', 0, 99) });
    expect((await timed(await move(engine, id))).time?.outcome).toBe('set');
    const fences = calls().slice(before);
    expect(fences).toHaveLength(2);
    expect(fences[1]?.fence).toBeGreaterThan(fences[0]?.fence ?? 0);
    for (let turn = 0; turn < 2; turn += 1)
      hostNamed('node1').faults.push({ call: 'syncGuestTime', when: 'before', error: refusal('custody-migrating') });
    expect((await timed(await move(engine, id, 'node1'))).time?.outcome).toBe('set');
    hostNamed('node2').faults.push({ call: 'syncGuestTime', when: 'before', error: refusal('InvalidState', 'no channel') });
    expect((await timed(await move(engine, id))).time).toMatchObject({
      outcome: 'not-asked',
      detail: 'its host refused: InvalidState: no channel',
    });
  });

  it('sets no guest by a clock that others contradict', async () => {
    const { engine, id } = await withAgent();
    hostNamed('node2').clockOffMs = -900_000;
    expect((await timed(await move(engine, id))).time).toMatchObject({
      outcome: 'not-set',
      driftBeforeMs: null,
      detail: expect.stringMatching(/^the clocks of the destination and the controller are \d{6} ms apart/),
    });
    expect(hostNamed('node2').calls.filter(({ call }) => call === 'syncGuestTime')).toEqual([]);
    hostNamed('node2').clockOffsetMs = 900;
    const back = await move(engine, id, 'node1');
    await until(async () => (await readMove(back)).measures.guestTime !== undefined);
    expect((await readMove(back)).measures.guestTime).toMatchObject({
      outcome: 'not-set',
      detail: 'the clocks of source and destination are 900 ms apart, and no guest is set by either',
    });
  });

  it('gives up a clock that fails every time', async () => {
    const { engine, id } = await withAgent();
    // The hosts' word is one thing, the database's another: this row is refused, whatever is in it.
    await sql`create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$`.execute(database.db);
    await sql`create trigger refuse before update on migration for each row when (new.measures -> 'guestTime' is not null) execute function refuse()`.execute(
      database.db,
    );
    const migration = await move(engine, id);
    await ended(migration);
    const ofClock = () =>
      database.db
        .selectFrom('workflow')
        .select(['attempts', 'finished_at'])
        .where('kind', '=', 'sync-guest-time')
        .where('subject_id', '=', migration)
        .executeTakeFirstOrThrow();
    // Its pauses between the attempts grow to a minute: they are cut short.
    await until(async () => {
      await database.db
        .updateTable('workflow')
        .set({ not_before: new Date(0) })
        .where('kind', '=', 'sync-guest-time')
        .where('finished_at', 'is', null)
        .execute();
      return (await ofClock()).finished_at !== null;
    }, 30_000);
    expect((await ofClock()).attempts).toBe(8);
    expect(hostNamed('node2').calls.filter(({ call }) => call === 'syncGuestTime')).toHaveLength(7);
    expect((await readMove(migration)).status).toBe('completed');
  });

  it('moves a guest as its machine is, where that has not the channel that was asked for, and asks it nothing', async () => {
    // Started by an agent that builds none; nor does the destination's.
    const { engine, id } = await withAgent(() => {
      hostNamed('node1').buildsGuestAgent = false;
    });
    expect(await readServer(id)).toMatchObject({ guest_agent: true, machine_guest_agent: false });
    await sql`update host set facts = facts - 'guestAgent'`.execute(database.db);
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { cause: null } });
    expect(hostNamed('node2').guests.get(id)).toMatchObject({ guestAgent: false });
    const asked = database.db.selectFrom('workflow').select('id').where('kind', '=', 'sync-guest-time');
    expect(await asked.execute()).toEqual([]);
    // A machine that is built anew is as it was asked for, where that can be.
    for (const [operation, state] of [
      ['stop', 'stopped'],
      ['start', 'active'],
    ] as const) {
      await engine.operations[operation]({ ...cloud.admin, requestId: `req-${operation}` }, id);
      await until(async () => {
        const { task_state, vm_state } = await readServer(id);
        return task_state === null && vm_state === state;
      });
    }
    expect(hostNamed('node2').guests.get(id)).toMatchObject({ guestAgent: true });
    expect(await readServer(id)).toMatchObject({ machine_guest_agent: true });
  });

  it('leaves a paused guest paused', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await engine.operations.pause(cloud.admin, id);
    await until(async () => (await readServer(id)).task_state === null);
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readServer(id)).toMatchObject({ vm_state: 'paused', power_state: 3, host_id: hostNamed('node2').id });
    expect(hostNamed('node2').guests.get(id)?.state).toBe(GuestState.PAUSED);
  });

  it('ends in error NoValidHost for the current host, with nothing changed', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id, 'node1');
    await ended(migration);
    const row = await readMove(migration);
    expect(row).toMatchObject({ status: 'error', destination_host_id: null, outcome: { cause: 'NoValidHost', runsOn: 'source' } });
    expect(row.outcome?.evidence[0]).toContain('node1');
    expect(await readServer(id)).toMatchObject({ vm_state: 'active', host_id: hostNamed('node1').id, epoch: 1, highest_epoch: 1 });
    await consistent(id, migration);
  });

  it('refuses unknown hosts, and below 2.34 contradictions with the storage, before it is accepted', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const ask = (over: object) =>
      engine.operations.liveMigrate(cloud.admin, id, {
        host: null,
        blockMigration: 'auto',
        force: false,
        checksBeforeAnswer: false,
        ...over,
      });
    await expect(ask({ host: 'nowhere' })).rejects.toMatchObject({ code: 'HostNotFound' });
    const early = { checksBeforeAnswer: true };
    await expect(ask({ blockMigration: true, ...early })).rejects.toMatchObject({ code: 'InvalidLocalStorage' });
    await expect(ask({ host: 'node1', ...early })).rejects.toMatchObject({ code: 'SameHost' });
    await onLocalDisks(id);
    await expect(ask({ blockMigration: false, ...early })).rejects.toMatchObject({ code: 'InvalidSharedStorage' });
    expect((await readServer(id)).task_state).toBeNull();
    expect(await database.db.selectFrom('migration').selectAll().execute()).toEqual([]);
  });

  it.each([
    ['shared', true, 'InvalidLocalStorage', 'block migration cannot be used with shared storage'],
    ['local', false, 'InvalidSharedStorage', 'cannot be used without block migration'],
  ] as const)(
    'on %s disks, block_migration %s from 2.34 on ends in error with its cause, and changes nothing',
    async (storage, block, cause, words) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      if (storage === 'local') await onLocalDisks(id);
      const migration = await move(engine, id, null, block);
      await ended(migration);
      const row = await readMove(migration);
      expect(row).toMatchObject({ status: 'error', phase: 'error', destination_host_id: null, outcome: { cause, runsOn: 'source' } });
      expect(row.outcome?.sentence).toContain(words);
      expect(await readServer(id)).toMatchObject({ vm_state: 'active', host_id: hostNamed('node1').id, epoch: 1, highest_epoch: 1 });
      await consistent(id, migration);
    },
  );

  it("copies local disks, and deletes the source's when the guest was seen alive", async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', source_disks_left: false });
    expect(hostNamed('node1').policies.at(-1)).toMatchObject({ blockMigration: true, localDiskIds: [disk] });
    expect(hostNamed('node1').deletedDisks).toEqual([disk]);
    await consistent(id, migration);
  });

  it('keeps the disks at a source when the guest was not seen alive, and deletes them when that host is heard of again', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const { faults } = hostNamed('node2');
    faults.push({ call: 'finishIncoming', when: 'before', error: refusal('MigrationNotFound', 'this host has forgotten') });
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { runsOn: 'destination' } });
    await until(async () => !(await readMove(migration)).source_disks_left);
    expect(hostNamed('node1').deletedDisks).toEqual([disk]);
    // First its copy, in the move; its disks only when the source had reported again.
    expect(hostNamed('node1').calls.filter(({ call }) => call === 'dropOutgoing')).toHaveLength(2);
    await consistent(id, migration);
  });

  it('waits for its turn on the links and can be cancelled while it waits', async () => {
    const engine = await cloud.controller('c1');
    const [first, second] = [await cloud.server(engine, 'node1'), await cloud.server(engine, 'node1')];
    hostNamed('node1').copyRounds = null;
    const one = await move(engine, first);
    await phase(one, 'copying');
    const two = await move(engine, second, 'node3');
    await phase(two, 'queued');
    await engine.operations.abortMigration(cloud.admin, two);
    await ended(two);
    expect(await readMove(two)).toMatchObject({ status: 'cancelled', outcome: { cause: 'CancelledByOperator', runsOn: 'source' } });
    await consistent(second, two);
    const three = await move(engine, second, 'node3');
    await phase(three, 'queued');
    hostNamed('node1').copyRounds = 1;
    await Promise.all([ended(one), ended(three)]);
    expect((await readMove(three)).status).toBe('completed');
  });

  it('is cancelled while it copies: the guest stays, the destination has forfeited', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await phase(migration, 'copying');
    await until(async () => hostNamed('node1').moves.has(migration));
    await engine.operations.abortMigration(cloud.admin, migration);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'cancelled', outcome: { cause: 'CancelledByOperator', runsOn: 'source' } });
    expect(hostNamed('node2').moves.get(migration)?.state).toBe('forfeited');
    expect(hostNamed('node1').guests.get(id)?.state).toBe(GuestState.RUNNING);
    await consistent(id, migration);
  });

  it('is undone by a delete during the copy', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await phase(migration, 'copying');
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await readServer(id)).deleted_at !== null);
    expect(await readMove(migration)).toMatchObject({ status: 'cancelled', outcome: { cause: 'ServerDeleted', runsOn: 'nowhere' } });
    expect(cloud.hosts.flatMap((host) => [...host.guests.values()]).every((guest) => guest.state === GuestState.SHUTOFF)).toBe(true);
    expect(await database.db.selectFrom('allocation').selectAll().execute()).toEqual([]);
  });
});

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
    await expect(stepped).rejects.toThrow('host node2 is fenced');
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

  describe('a destination that falls silent when it has taken is waited for, and nobody says that the guest runs', () => {
    /** A move that waits for its destination, as its watcher would have written it. */
    const waiting = async (disk: 'shared' | 'local') => {
      const silent = async (name: string): Promise<void> => {
        if (name === 'phase:committing') hostNamed('node2').down = true;
      };
      const engine = await cloud.controller('c1', silent);
      const id = await cloud.server(engine, 'node1');
      if (disk === 'local') await onLocalDisks(id);
      const migration = await move(engine, id, 'node2');
      await phase(migration, 'committing');
      await until(async () => hostNamed('node2').down);
      const last_seen_at = new Date(Date.now() - 60_000);
      await database.db.updateTable('host').set({ reachable: false, last_seen_at }).where('name', '=', 'node2').execute();
      const ways = await readWaysOut(database.db, await readMove(migration));
      expect(ways).toMatchObject([
        { kind: 'wait', host: 'node2' },
        { kind: 'fence', host: 'node2', outcome: 'restart-from-disk' },
      ]);
      return { engine, id, migration, sentence: ways[1]?.sentence ?? '' };
    };

    it('until it answers', async () => {
      const { id, migration } = await waiting('shared');
      const rounds = () => hostNamed('node1').calls.filter(({ call }) => call === 'dropOutgoing').length;
      await until(async () => hostNamed('node2').unansweredLists > 0, 30_000);
      // Nobody answered, and everything is asked again.
      await until(async () => rounds() > 1);
      expect(await readMove(migration)).toMatchObject({ phase: 'committing', status: 'running', finished_at: null });
      hostNamed('node2').down = false;
      await ended(migration, 30_000);
      expect(await readMove(migration)).toMatchObject({ status: 'completed', outcome: { cause: null, runsOn: 'destination' } });
      await consistent(id, migration);
    }, 60_000);

    it.each([
      ['shared', 'node1', 'Lost is what it had not written to its disks and flushed.'],
      ['local', 'node2', 'Its local disks are at node2'],
    ] as const)(
      'until it is fenced: with a %s disk the server is on %s then',
      async (disk, host, loss) => {
        const { engine, id, migration, sentence } = await waiting(disk);
        expect(sentence).toContain(loss);
        await engine.operations.fenceHost(cloud.admin, 'node2');
        await ended(migration, 30_000);
        const outcome = { cause: 'DestinationDown', runsOn: 'nowhere' };
        expect(await readMove(migration)).toMatchObject({ status: 'error', source_disks_left: disk === 'local', outcome });
        const custody = { holder: { kind: 'nowhere' } };
        expect(await readServer(id)).toMatchObject({ host_id: hostNamed(host).id, vm_state: 'error', custody });
        await consistent(id, migration);
      },
      60_000,
    );
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

  it.each([
    ['the guest stays', 'node2', 'source'],
    ['the guest goes to another', null, 'destination'],
  ])(
    'a destination that has booted again while local disks were copied to it: %s, and what was copied is deleted there',
    async (_how, to, runsOn) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      const [disk] = await onLocalDisks(id);
      const source = hostNamed('node1');
      source.copyRounds = null;
      const migration = await move(engine, id, to);
      await until(async () => source.moves.has(migration));
      const destination = hostNamed(hostNamed('node2').moves.has(migration) ? 'node2' : 'node3');
      destination.bootId = 'the boot after';
      destination.guests.clear();
      source.copyRounds = 1;
      Object.assign(source.moves.get(migration) ?? {}, { state: 'failed', cause: 'DestinationDown' });
      await ended(migration);
      expect(await readMove(migration)).toMatchObject({ outcome: { runsOn } });
      await until(async () => (await readMove(migration)).disks_left_at.length === 0);
      expect([destination.deletedDisks, source.deletedDisks]).toEqual([[disk], to === null ? [disk] : []]);
      await consistent(id, migration);
    },
  );

  it('a destination that is fenced while local disks are copied to it: the guest stays, and what was copied is remembered for when that host is back', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    await onLocalDisks(id);
    const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
    source.copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => source.moves.has(migration));
    destination.down = true;
    const last_seen_at = new Date(Date.now() - 60_000);
    await database.db.updateTable('host').set({ reachable: false, last_seen_at }).where('id', '=', destination.id).execute();
    await engine.operations.fenceHost(cloud.admin, 'node2');
    Object.assign(source.moves.get(migration) ?? {}, { state: 'failed', cause: 'DestinationDown' });
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ outcome: { runsOn: 'source' }, disks_left_at: [destination.id] });
    await consistent(id, migration);
  });

  it.each(['released', 'lost'])(
    'a destination that was fenced before anybody heard whether the source had released: it is %s there, and the disks at the destination are not noted to be deleted',
    async (state) => {
      let migration = '';
      const noted: (readonly string[])[] = [];
      const engine = await cloud.controller('c1', async (name) => {
        if (name === 'give-up:decided') Object.assign(hostNamed('node1').moves.get(migration) ?? {}, { state });
        if (name === 'settle:disarm') noted.push((await readMove(migration)).disks_left_at);
      });
      const id = await cloud.server(engine, 'node1');
      await onLocalDisks(id);
      const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
      source.copyRounds = null;
      migration = await move(engine, id);
      await until(async () => source.moves.has(migration));
      destination.down = true;
      const last_seen_at = new Date(Date.now() - 60_000);
      await database.db.updateTable('host').set({ reachable: false, last_seen_at }).where('id', '=', destination.id).execute();
      await engine.operations.fenceHost(cloud.admin, 'node2');
      await database.db.updateTable('migration').set({ abort_requested_at: new Date() }).where('id', '=', migration).execute();
      await ended(migration, 30_000);
      // It was, until the source was heard.
      expect(noted).toEqual([[destination.id]]);
      expect(await readMove(migration)).toMatchObject({ outcome: { runsOn: 'nowhere' }, disks_left_at: [] });
      expect((await readServer(id)).custody.holder).toEqual({ kind: 'nowhere' });
      await consistent(id, migration);
    },
    60_000,
  );

  it('an order to delete what a move has left at a host is not sent any more when a new move has begun', async () => {
    const [node2, node3] = [hostNamed('node2'), hostNamed('node3')];
    const reached = Promise.withResolvers<void>();
    const goOn = Promise.withResolvers<void>();
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'copied-disks:deleting') return;
      reached.resolve();
      await goOn.promise;
    });
    const id = await cloud.server(engine, 'node1');
    await onLocalDisks(id);
    const first = await move(engine, id, 'node3');
    await ended(first);
    node3.copyRounds = null;
    await database.db
      .updateTable('migration')
      .set({ disks_left_at: [node2.id] })
      .where('id', '=', first)
      .execute();
    await reached.promise;
    const settlings = () =>
      database.db.selectFrom('workflow').selectAll().where('subject_id', '=', id).where('kind', '=', 'settle-server').execute();
    const waiting = (await settlings()).filter(({ finished_at }) => finished_at === null).map((one) => one.id);
    const second = await move(engine, id, 'node2');
    goOn.resolve();
    // It is handed back, or has done its work.
    await until(async () => (await settlings()).some((one) => waiting.includes(one.id) && (one.finished_at !== null || one.attempts > 1)));
    expect(node2.calls.filter(({ call }) => call === 'dropOutgoing')).toEqual([]);
    node3.copyRounds = 1;
    await ended(second);
    await until(async () => (await readMove(first)).disks_left_at.length === 0);
    expect([(await readMove(second)).status, node2.deletedDisks]).toEqual(['completed', []]);
    await consistent(id, second);
  });

  it('what a move has left at a host is no leftover any more when the guest is taken there', async () => {
    let first = '';
    const left: (readonly string[])[] = [];
    const engine = await cloud.controller('c1', async (name) => {
      if (first === '') return;
      // While a move goes on nobody else looks at it.
      if (name === 'phase:copying')
        await database.db
          .updateTable('migration')
          .set({ disks_left_at: [hostNamed('node2').id, hostNamed('node1').id] })
          .where('id', '=', first)
          .execute();
      if (name === 'phase:committing') left.push((await readMove(first)).disks_left_at);
    });
    const id = await cloud.server(engine, 'node1');
    const before = await move(engine, id, 'node3');
    await ended(before);
    first = before;
    await ended(await move(engine, id, 'node2'));
    expect(left).toEqual([[hostNamed('node1').id]]);
  });

  it('the disks of a deleted server that a move has left at a host which does not answer are deleted when it does', async () => {
    const node2 = hostNamed('node2');
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [disk] = await onLocalDisks(id);
    const migration = await move(engine, id, 'node3');
    await ended(migration);
    node2.down = true;
    await database.db
      .updateTable('migration')
      .set({ disks_left_at: [node2.id] })
      .where('id', '=', migration)
      .execute();
    await engine.operations.delete(cloud.admin, id);
    await until(async () => (await readServer(id)).deleted_at !== null);
    const { deleted_at: deletedAt } = await readServer(id);
    // Where it was has it settled once more whenever that host is heard of: what is left elsewhere is not forgotten by it.
    await until(async () => {
      const settled = database.db.selectFrom('workflow').select('id').where('subject_id', '=', id).where('kind', '=', 'settle-server');
      return (await settled.where('created_at', '>', deletedAt).where('finished_at', 'is not', null).execute()).length > 0;
    });
    node2.down = false;
    await until(async () => (await readMove(migration)).disks_left_at.length === 0);
    expect(node2.deletedDisks).toEqual([disk]);
    await until(async () => (await database.db.selectFrom('disk').select('id').where('server_id', '=', id).execute()).length === 0);
  });

  it('a destination that has booted again since the release: nobody may go on, what is left at the source is killed, and the server is there', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
    destination.onRelease = 'dies';
    source.copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => source.moves.has(migration));
    destination.bootId = 'boot-node2-2';
    source.copyRounds = 1;
    await ended(migration);
    // Its last word may have been that it takes: no record of it is left, so that nobody may say that it had not.
    expect(await readMove(migration)).toMatchObject({
      status: 'error',
      outcome: { cause: 'DestinationDown', runsOn: 'nowhere', sentence: expect.stringContaining('is not known') },
    });
    // If it had run there, that host's disks alone have all of its writes.
    expect(await readServer(id)).toMatchObject({
      vm_state: 'error',
      host_id: destination.id,
      custody: { holder: { kind: 'nowhere' } },
    });
    await until(async () => source.guests.get(id)?.state === GuestState.SHUTOFF);
    await until(async () => (await readServer(id)).custody.remains.length === 0);
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

  it.each([
    ['', null],
    [', although the controller dies as soon as it has heard that', 'settle:'],
  ])(
    'a move that is aborted while its source releases, to a destination that then boots again: the server is there%s',
    async (_how, dies) => {
      const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
      let given = '';
      const dead = Promise.withResolvers<never>();
      dead.promise.catch(() => {});
      let died = false;
      const first = await cloud.controller('c1', async (name) => {
        const moving = source.moves.get(given);
        if (name === 'give-up:decided' && moving !== undefined) {
          moving.state = 'released';
          moving.guest = GuestState.RELEASED;
          destination.bootId = 'boot-node2-2';
        }
        if (dies === null || given === '' || !name.startsWith(dies) || (await readServer(serverOf)).custody.operation !== null) return;
        died = true;
        await dead.promise;
      });
      const serverOf = await cloud.server(first, 'node1');
      await onLocalDisks(serverOf);
      source.copyRounds = null;
      const migration = await move(first, serverOf);
      given = migration;
      await until(async () => source.moves.has(migration));
      await first.operations.abortMigration(cloud.admin, migration);
      if (dies !== null) {
        await until(async () => died);
        await cloud.controller('c1');
      }
      await ended(migration);
      expect(await readMove(migration)).toMatchObject({
        status: 'error',
        outcome: { cause: 'DestinationDown', runsOn: 'nowhere', sentence: expect.stringContaining('is not known') },
        source_disks_left: true,
      });
      expect(await readServer(serverOf)).toMatchObject({ host_id: destination.id, custody: { holder: { kind: 'nowhere' } } });
      dead.reject(new Error('killed'));
    },
  );

  it.each([
    ['says so at once', { taken: TakeAnswer.TOOK_DEAD }],
    ['finds out when it is asked to forfeit', {}],
  ])(
    'a destination whose QEMU dies when it has written that it takes, which it %s: the guest ended there, and the server is there',
    async (_how, known) => {
      const engine = await cloud.controller('c1');
      const id = await cloud.server(engine, 'node1');
      await onLocalDisks(id);
      const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
      destination.onRelease = 'deaf';
      source.copyRounds = null;
      const migration = await move(engine, id);
      await until(async () => source.moves.has(migration));
      Object.assign(destination.moves.get(migration) ?? {}, { state: 'died', guest: GuestState.CRASHED, ...known });
      Object.assign(destination.guests.get(id) ?? {}, { state: GuestState.CRASHED });
      source.copyRounds = 1;
      await ended(migration);
      expect(await readMove(migration)).toMatchObject({ status: 'error', outcome: { cause: 'GuestCrashedOnArrival', runsOn: 'nowhere' } });
      expect(await readServer(id)).toMatchObject({ vm_state: 'error', host_id: destination.id, custody: { holder: { kind: 'nowhere' } } });
      await until(async () => source.guests.get(id)?.state === GuestState.SHUTOFF);
      await consistent(id, migration);
      // No guest has lived on the others: those at the source stay, also when that host is heard of again.
      const heard = () => source.calls.filter(({ call }) => call === 'listGuests').length;
      const before = heard();
      await until(async () => heard() > before + 1);
      expect([source.deletedDisks, (await readMove(migration)).source_disks_left]).toEqual([[], true]);
    },
  );

  it('a destination that reboots when it has taken, before the move is committed: no success, SHUTOFF there with the reason', async () => {
    const destination = hostNamed('node2');
    const engine = await cloud.controller('c1', async (name) => {
      if (name !== 'phase:committing') return;
      destination.bootId = 'boot-node2-2';
      destination.guests.clear();
      destination.faults.push({ call: 'finishIncoming', when: 'before', error: refusal('MigrationNotFound', 'nothing is known of it') });
    });
    const id = await cloud.server(engine, 'node1');
    const migration = await move(engine, id);
    await ended(migration);
    expect(await readMove(migration)).toMatchObject({ status: 'error', outcome: { cause: 'DestinationDown', runsOn: 'nowhere' } });
    expect(await readServer(id)).toMatchObject({ vm_state: 'stopped', host_id: destination.id, custody: { holder: { kind: 'nowhere' } } });
    expect(runningCopies(cloud.hosts, id)).toBe(0);
    await consistent(id, migration);
  });

  it('a release that the destination did not hear is relayed, also by a source that is dead since', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const [source, destination] = [hostNamed('node1'), hostNamed('node2')];
    destination.onRelease = 'deaf';
    source.copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => source.moves.has(migration));
    const copy = source.moves.get(migration);
    const guest = source.guests.get(id);
    if (copy === undefined || guest === undefined) throw new Error('no copy');
    // The last thing that is heard of the source is the release that it repeated to the controller.
    Object.assign(copy, { state: 'released' });
    guest.state = GuestState.RELEASED;
    source.down = true;
    await engine.releaseReported(source.id, {
      serverId: id,
      migrationId: migration,
      destinationHostId: destination.id,
      epoch: 2,
      stoppedAtMs: 1,
      completedAtMs: 2,
    });
    await ended(migration, 20_000);
    expect(await readMove(migration)).toMatchObject({ status: 'completed', release: { stoppedAtMs: 1, completedAtMs: 2 } });
    expect(destination.guests.get(id)?.state).toBe(GuestState.RUNNING);
    expect((await readServer(id)).custody.remains).toEqual([{ hostId: source.id, below: 2 }]);
    source.down = false;
    await until(async () => (await readServer(id)).custody.remains.length === 0);
    expect(source.guests.get(id)?.state).toBe(GuestState.SHUTOFF);
    await consistent(id, migration);
  }, 30_000);

  it('a release that names another migration, host or epoch is refused', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    hostNamed('node1').copyRounds = null;
    const migration = await move(engine, id);
    await until(async () => hostNamed('node1').moves.has(migration));
    const release = {
      serverId: id,
      migrationId: migration,
      destinationHostId: hostNamed('node2').id,
      epoch: 2,
      stoppedAtMs: 1,
      completedAtMs: 2,
    };
    await expect(engine.releaseReported(hostNamed('node3').id, release)).rejects.toMatchObject({ code: 'Conflict' });
    await expect(engine.releaseReported(hostNamed('node1').id, { ...release, epoch: 3 })).rejects.toMatchObject({ code: 'Conflict' });
    await expect(
      engine.releaseReported(hostNamed('node1').id, { ...release, destinationHostId: hostNamed('node3').id }),
    ).rejects.toMatchObject({ code: 'Conflict' });
    expect((await readServer(id)).custody.operation).toMatchObject({ step: 'copying' });
  });

  it('the source dies after its release: the move completes, and it is told when it returns', async () => {
    const engine = await cloud.controller('c1');
    const id = await cloud.server(engine, 'node1');
    const source = hostNamed('node1');
    const migration = await move(engine, id);
    await until(async () => source.moves.get(migration)?.state === 'released');
    source.down = true;
    await ended(migration, 20_000);
    await consistent(id, migration);
    expect((await readMove(migration)).status).toBe('completed');
    const { remains } = (await readServer(id)).custody;
    if (remains.length > 0) {
      source.down = false;
      await until(async () => (await readServer(id)).custody.remains.length === 0);
    }
    expect(source.guests.get(id)?.state).not.toBe(GuestState.RUNNING);
  });
});

const points = [
  'phase:accepted',
  'phase:queued',
  'phase:preparing',
  'preparing:granted',
  'preparing:answered',
  'phase:copying',
  'copying:started',
  'phase:switchover',
  'switchover:taken',
  'phase:committing',
  'committing:cleaned',
] as const;

/** What makes a move wait at `phase:queued`: another one that copies over the same link until `free` is called. Any other point is reached without. */
async function ahead(engine: Engine, point: (typeof points)[number]): Promise<{ readonly free: (waiting: string) => Promise<void> }> {
  if (point !== 'phase:queued') return { free: async () => {} };
  const id = await cloud.server(engine, 'node1');
  hostNamed('node1').copyRounds = null;
  const first = await move(engine, id);
  await phase(first, 'copying');
  return {
    free: async (waiting) => {
      expect(await readMove(waiting)).toMatchObject({ phase: 'queued', finished_at: null });
      hostNamed('node1').copyRounds = 1;
      await ended(first);
      expect((await readMove(first)).status).toBe('completed');
      await consistent(id, first);
    },
  };
}

/** Nothing is under way for the server itself. */
const settled = async (serverId: string): Promise<void> =>
  until(async () => {
    const open = await database.db
      .selectFrom('workflow')
      .select('id')
      .where('subject_id', '=', serverId)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    return open === undefined && (await readServer(serverId)).custody.remains.length === 0;
  });

describe('takeover', () => {
  it.each(points)('a controller that freezes at %s is taken over, and does no harm when it wakes', async (point) => {
    let wake = () => {};
    const frozen = new Promise<void>((resolve) => {
      wake = resolve;
    });
    let reached = false;
    let armed = false;
    const first = await cloud.controller('c1', async (name) => {
      if (!armed || name !== point || reached) return;
      reached = true;
      await frozen;
    });
    const id = await cloud.server(first, 'node1');
    const other = await ahead(first, point);
    armed = true;
    const migration = await move(first, id);
    await until(async () => reached);
    // Its process is frozen: no heartbeat. Another one finds it dead.
    await database.db
      .updateTable('executor')
      .set({ heartbeat_at: new Date(0) })
      .where('name', '=', 'c1')
      .execute();
    const second = await cloud.controller('c2');
    await other.free(migration);
    await until(async () => {
      await database.db
        .updateTable('executor')
        .set({ heartbeat_at: new Date(0) })
        .where('name', '=', 'c1')
        .execute();
      return (await readMove(migration)).finished_at !== null;
    });
    // A report of the source that came before its copy was dropped has the server settled once more, behind the move.
    await settled(id);
    const after = await readMove(migration);
    const serverAfter = await readServer(id);
    expect(after.status).toBe('completed');
    await consistent(id, migration);
    wake();
    await until(async () => first.idle());
    expect(await readMove(migration)).toEqual(after);
    expect(await readServer(id)).toEqual(serverAfter);
    await consistent(id, migration);
    await until(async () => second.idle());
  });

  it.each(points)('a controller that dies at %s loses nothing: its successor of the same name finishes at once', async (point) => {
    let died = false;
    let armed = false;
    let bury = () => {};
    const dead = new Promise<never>((_resolve, reject) => {
      bury = () => reject(new Error('killed'));
    });
    dead.catch(() => {});
    const first = await cloud.controller('c1', async (name) => {
      if (!armed || name !== point) return;
      died = true;
      await dead;
    });
    const id = await cloud.server(first, 'node1');
    const other = await ahead(first, point);
    armed = true;
    const migration = await move(first, id);
    await until(async () => died);
    await cloud.controller('c1');
    await other.free(migration);
    await ended(migration);
    expect((await readMove(migration)).status).toBe('completed');
    await consistent(id, migration);
    bury();
  });
});

it('accepted to first step takes no poll', async () => {
  // A controller that looks for work once in ten minutes: whatever is done is done because it was told.
  await cloud.stop();
  await database.close();
  database = await postgres.database();
  cloud = await fakeCloud(database, undefined, 0, undefined, 600_000);
  const engine = await cloud.controller('c1');
  const id = await cloud.server(engine, 'node1');
  for (let round = 0; round < 3; round++) {
    const migration = await move(engine, id, null);
    await ended(migration);
    expect((await readMove(migration)).status).toBe('completed');
  }
});
