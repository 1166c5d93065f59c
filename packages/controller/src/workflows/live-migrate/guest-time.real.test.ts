import { Code, ConnectError } from '@connectrpc/connect';
import type { ServerId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { describe, expect, it } from 'vitest';
import type { Database } from '../../store/database.ts';
import type { Engine } from '../engine.ts';
import { refusal } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, hostNamed, move } = liveMoves((fresh) => ({ database, cloud } = fresh));

describe('what a move asks of the guest’s agent', () => {
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
});
