import { sql } from 'kysely';
import { Gauge, type Registry } from 'prom-client';
import type { Db } from './store/database.ts';

type Counted = { readonly state: string; readonly count: number };

/** The cloud as the database has it, the same at every controller; read when somebody asks. */
export function cloudMetrics(registry: Registry, db: Db): void {
  const registers = [registry];
  const byState = (name: string, help: string, read: () => Promise<readonly Counted[]>): Gauge =>
    new Gauge({
      name,
      help,
      labelNames: ['state'],
      registers,
      async collect() {
        this.reset();
        for (const { state, count } of await read()) this.set({ state }, count);
      },
    });
  byState('godwit_hosts', 'Hosts by state: up, disabled, silent, fenced.', async () => {
    const { rows } = await sql<Counted>`
      select case when fenced_at is not null then 'fenced' when not reachable or forced_down then 'silent' when not enabled then 'disabled' else 'up' end as state, count(*)::integer as count
      from host where deleted_at is null group by 1`.execute(db);
    return rows;
  });
  byState('godwit_servers', 'Servers by vm_state.', async () => {
    const { rows } =
      await sql<Counted>`select vm_state as state, count(*)::integer as count from server where deleted_at is null group by 1`.execute(db);
    return rows;
  });
  byState(
    'godwit_migrations_open',
    'Migrations that have not ended, by phase; queued is the length of the queue, finished waits for a confirmation.',
    async () => {
      const { rows } =
        await sql<Counted>`select phase as state, count(*)::integer as count from migration where finished_at is null group by 1`.execute(
          db,
        );
      return rows;
    },
  );
  new Gauge({
    name: 'godwit_migration_oldest_seconds',
    help: 'Age of the oldest migration that is under way; those that wait for a confirmation are left out.',
    registers,
    async collect() {
      const { rows } = await sql<{ age: number }>`
        select coalesce(extract(epoch from now() - min(created_at)), 0)::float8 as age from migration where finished_at is null and status <> 'finished'`.execute(
        db,
      );
      this.set(rows[0]?.age ?? 0);
    },
  });
  new Gauge({
    name: 'godwit_resize_unconfirmed_oldest_seconds',
    help: 'For how long the oldest finished cold migration or resize has waited for its confirmation.',
    registers,
    async collect() {
      const { rows } = await sql<{ age: number }>`
        select coalesce(extract(epoch from now() - min(coalesce(updated_at, created_at))), 0)::float8 as age from migration where finished_at is null and status = 'finished'`.execute(
        db,
      );
      this.set(rows[0]?.age ?? 0);
    },
  });
  new Gauge({
    name: 'godwit_workflows_failing',
    help: 'Work that has failed at least once and is tried again.',
    registers,
    async collect() {
      const { rows } = await sql<{
        count: number;
      }>`select count(*)::integer as count from workflow where finished_at is null and last_error is not null`.execute(db);
      this.set(rows[0]?.count ?? 0);
    },
  });
  new Gauge({
    name: 'godwit_webhook_pending',
    help: 'Notices that the webhook has not taken yet.',
    registers,
    async collect() {
      const { rows } = await sql<{
        count: number;
      }>`select count(*)::integer as count from webhook_notice where delivered_at is null and given_up_at is null`.execute(db);
      this.set(rows[0]?.count ?? 0);
    },
  });
}
