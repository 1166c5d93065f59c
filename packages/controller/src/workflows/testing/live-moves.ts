import type { MigrationId, ServerId } from '@godwit/domain/ids';
import { expect } from 'vitest';
import type { Engine } from '../engine.ts';
import { type FakeHost, runningCopies } from './fake-agents.ts';
import { until } from './fake-cloud.ts';
import { type FreshCloud, freshCloud } from './fresh-cloud.ts';

/** What tests of live migrations ask of a cloud that is fresh for each of them; see `freshCloud`. */
export function liveMoves(begins: (fresh: FreshCloud) => void, heartbeatMs?: number) {
  let { database, cloud } = {} as FreshCloud;
  freshCloud((fresh) => {
    ({ database, cloud } = fresh);
    begins(fresh);
  }, heartbeatMs);

  const readServer = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const readMove = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  return {
    readServer,
    readMove,
    ended: (id: string, deadlineMs?: number): Promise<void> => until(async () => (await readMove(id)).finished_at !== null, deadlineMs),
    phase: (id: string, wanted: string): Promise<void> => until(async () => (await readMove(id)).phase === wanted),
    hostNamed: (name: string): FakeHost => {
      const host = cloud.hosts.find((one) => one.name === name);
      if (host === undefined) throw new Error(name);
      return host;
    },
    /** The server's disks are on the local pool of its host: their ids. */
    onLocalDisks: async (id: string): Promise<readonly string[]> => {
      const disks = database.db.updateTable('disk').set({ storage: 'local', pool: 'local' }).where('server_id', '=', id);
      return (await disks.returning('id').execute()).map((disk) => disk.id);
    },
    move: (engine: Engine, id: ServerId, host: string | null = 'node2', blockMigration: boolean | 'auto' = 'auto'): Promise<MigrationId> =>
      engine.operations.liveMigrate({ ...cloud.admin, requestId: 'req-move' }, id, {
        host,
        blockMigration,
        force: false,
        checksBeforeAnswer: false,
      }),
    /** What must hold whenever a move has ended, however it did. */
    consistent: async (serverId: string, migrationId: string): Promise<void> => {
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
    },
  };
}
