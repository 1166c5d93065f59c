import type { MigrationId, ServerId } from '@godwit/domain/ids';
import { expect } from 'vitest';
import type { Engine } from '../engine.ts';
import { runningCopies } from './fake-agents.ts';
import { until } from './fake-cloud.ts';
import { type FreshCloud, freshCloud } from './fresh-cloud.ts';

/** What tests of cold migrations and resizes ask of a cloud that is fresh for each of them; see `freshCloud`. */
export function coldMoves(begins: (fresh: FreshCloud) => void) {
  let { database, cloud } = {} as FreshCloud;
  freshCloud((fresh) => {
    ({ database, cloud } = fresh);
    begins(fresh);
  });

  const server = (id: string) => database.db.selectFrom('server').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const record = (id: string) => database.db.selectFrom('migration').selectAll().where('id', '=', id).executeTakeFirstOrThrow();
  const host = (name: string) => {
    const found = cloud.hosts.find((one) => one.name === name);
    if (found === undefined) throw new Error(name);
    return found;
  };
  const status = (id: string, ...wanted: readonly string[]) => until(async () => wanted.includes((await record(id)).status));
  const idle = (id: string) => until(async () => (await server(id)).task_state === null);
  const ledger = (id: string) =>
    database.db
      .selectFrom('allocation')
      .select(['consumer_id', 'consumer_type', 'host_id', 'ram_mib'])
      .where('server_id', '=', id)
      .orderBy('consumer_type')
      .execute();
  const migrate = (engine: Engine, id: ServerId, name: string | null = 'node2') =>
    engine.operations.migrate({ ...cloud.admin, requestId: 'req-move' }, id, { host: name });
  const confirm = (engine: Engine, id: ServerId) => engine.operations.confirmResize({ ...cloud.admin, requestId: 'req-confirm' }, id);
  const revert = (engine: Engine, id: ServerId) => engine.operations.revertResize({ ...cloud.admin, requestId: 'req-revert' }, id);
  /** How often a host was told to start a guest. */
  const started = () => cloud.hosts.flatMap((one) => one.calls.filter(({ call }) => call === 'startGuest')).length;

  /** A server on node1 that was moved to node2 and waits. */
  const moved = async (engine: Engine, stopped = false): Promise<{ id: ServerId; migration: MigrationId }> => {
    const id = await cloud.server(engine, 'node1');
    if (stopped) {
      await engine.operations.stop(cloud.admin, id);
      await idle(id);
    }
    const migration = await migrate(engine, id);
    await status(migration, 'finished', 'error');
    expect((await record(migration)).outcome).toBeNull();
    return { id, migration };
  };

  /** What must hold whenever a move has ended. */
  const consistent = async (id: string): Promise<void> => {
    const now = await server(id);
    expect(now.task_state).toBeNull();
    expect(now.custody.operation).toBeNull();
    expect(runningCopies(cloud.hosts, id)).toBe(now.vm_state === 'active' ? 1 : 0);
    expect(await ledger(id)).toMatchObject([{ consumer_id: id, consumer_type: 'server', host_id: now.host_id }]);
    if (now.custody.holder.kind === 'host') expect(now.custody.holder.hostId).toBe(now.host_id);
  };

  const events = async (id: string): Promise<readonly { action: string; event: string | null; result: string | null }[]> => {
    return database.db
      .selectFrom('instance_action')
      .leftJoin('instance_action_event as e', 'e.action_id', 'instance_action.id')
      .select(['instance_action.action', 'e.event', 'e.result'])
      .where('instance_action.server_id', '=', id)
      .where('instance_action.action', 'not in', ['create', 'stop'])
      .orderBy('e.id')
      .execute();
  };
  return { server, record, host, status, idle, ledger, migrate, confirm, revert, started, moved, consistent, events };
}
