import { sql } from 'kysely';
import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';
import { cloudMetrics } from './cloud-metrics.ts';
import type { Db } from './store/database.ts';

/** What GET /metrics shows. */
export type Metrics = {
  readonly registry: Registry;
  readonly migrationsTotal: Counter<'type' | 'outcome' | 'cause'>;
  readonly migrationBlackoutSeconds: Histogram;
  readonly migrationDurationSeconds: Histogram<'phase'>;
  readonly migrationSeconds: Histogram<'type' | 'outcome'>;
  readonly migrationBytesTotal: Counter<'kind'>;
  /** Outcomes against the 90 % interval that was stated before the move. */
  readonly predictionsTotal: Counter<'figure' | 'result'>;
  readonly apiRequestSeconds: Histogram<'service' | 'method' | 'status'>;
  readonly webhookNoticesTotal: Counter<'kind' | 'result'>;
  readonly hostsReachable: Gauge;
  /** Calls that this controller sent to agents. */
  readonly agentCallsTotal: Counter<'method'>;
};

/** Fresh metrics in a registry of their own, so that several controllers fit in one test process. */
export function createMetrics(options: { readonly process: boolean; readonly database?: Db }): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry, prefix: 'godwit_' });
  const registers = [registry];
  if (options.database !== undefined) {
    databaseMetrics(registry, options.database);
    cloudMetrics(registry, options.database);
  }
  return {
    registry,
    migrationsTotal: new Counter({
      name: 'godwit_migrations_total',
      help: 'Migrations that ended, by outcome and coded cause.',
      labelNames: ['type', 'outcome', 'cause'],
      registers,
    }),
    migrationBlackoutSeconds: new Histogram({
      name: 'godwit_migration_blackout_seconds',
      help: 'Measured blackout of completed live migrations: source STOP to destination RESUME.',
      buckets: [0.005, 0.01, 0.02, 0.03, 0.05, 0.075, 0.1, 0.15, 0.2, 0.3, 0.5, 1, 2, 5],
      registers,
    }),
    migrationDurationSeconds: new Histogram({
      name: 'godwit_migration_phase_seconds',
      help: 'Time that completed live migrations spent in each phase.',
      labelNames: ['phase'],
      buckets: [0.01, 0.03, 0.1, 0.3, 1, 3, 10, 30, 100, 300, 1000, 3000],
      registers,
    }),
    migrationSeconds: new Histogram({
      name: 'godwit_migration_seconds',
      help: 'From the acceptance of a migration to its end.',
      labelNames: ['type', 'outcome'],
      buckets: [0.5, 1, 2, 5, 10, 20, 60, 120, 300, 600, 1800, 3600, 14_400],
      registers,
    }),
    migrationBytesTotal: new Counter({
      name: 'godwit_migration_bytes_total',
      help: 'Bytes that ended migrations have copied, by memory and disk.',
      labelNames: ['kind'],
      registers,
    }),
    predictionsTotal: new Counter({
      name: 'godwit_predictions_total',
      help: 'Ended live migrations by whether duration and blackout were inside the interval predicted before.',
      labelNames: ['figure', 'result'],
      registers,
    }),
    apiRequestSeconds: new Histogram({
      name: 'godwit_api_request_seconds',
      help: 'Time to answer a request, by service, method and class of status.',
      labelNames: ['service', 'method', 'status'],
      buckets: [0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 10],
      registers,
    }),
    webhookNoticesTotal: new Counter({
      name: 'godwit_webhook_notices_total',
      help: 'Attempts to tell the webhook, by kind and result (delivered, failed, given-up).',
      labelNames: ['kind', 'result'],
      registers,
    }),
    hostsReachable: new Gauge({ name: 'godwit_hosts_reachable', help: 'Hosts whose agent answers this controller.', registers }),
    agentCallsTotal: new Counter({ name: 'godwit_agent_calls_total', help: 'RPCs sent to agents.', labelNames: ['method'], registers }),
  };
}

/** What all controllers together ask of the database, by its own statistics; read when somebody asks. */
function databaseMetrics(registry: Registry, db: Db): void {
  new Gauge({
    name: 'godwit_database_commits_total',
    help: 'Transactions committed in the database.',
    registers: [registry],
    async collect() {
      const { rows } = await sql<{
        commits: number;
      }>`select xact_commit as commits from pg_stat_database where datname = current_database()`.execute(db);
      this.set(rows[0]?.commits ?? 0);
    },
  });
  new Gauge({
    name: 'godwit_database_row_writes_total',
    help: 'Rows inserted, updated or deleted, by table.',
    labelNames: ['table'],
    registers: [registry],
    async collect() {
      const { rows } = await sql<{
        table: string;
        writes: number;
      }>`select relname as table, n_tup_ins + n_tup_upd + n_tup_del as writes from pg_stat_user_tables`.execute(db);
      for (const { table, writes } of rows) this.set({ table }, writes);
    },
  });
}
