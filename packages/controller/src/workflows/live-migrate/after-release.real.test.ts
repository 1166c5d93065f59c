import { TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { GuestState } from '@godwit/contract/gen/guest_pb';
import { describe, expect, it } from 'vitest';
import { readWaysOut } from '../../api/godwit/ways-out.ts';
import type { Database } from '../../store/database.ts';
import { refusal, runningCopies } from '../testing/fake-agents.ts';
import { type FakeCloud, until } from '../testing/fake-cloud.ts';
import { liveMoves } from '../testing/live-moves.ts';

let database: Database;
let cloud: FakeCloud;
const { readServer, readMove, ended, phase, hostNamed, onLocalDisks, move, consistent } = liveMoves(
  (fresh) => ({ database, cloud } = fresh),
);

describe('once the source may have released', () => {
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
