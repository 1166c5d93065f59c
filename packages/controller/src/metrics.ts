import { Counter, collectDefaultMetrics, Gauge, Histogram, Registry } from 'prom-client';

/** What GET /metrics shows. */
export type Metrics = {
  readonly registry: Registry;
  readonly migrationsTotal: Counter<'type' | 'outcome' | 'cause'>;
  readonly migrationBlackoutSeconds: Histogram;
  readonly migrationDurationSeconds: Histogram<'phase'>;
  readonly hostsReachable: Gauge;
};

/** Fresh metrics in a registry of their own, so that several controllers fit in one test process. */
export function createMetrics(options: { readonly process: boolean }): Metrics {
  const registry = new Registry();
  if (options.process) collectDefaultMetrics({ register: registry, prefix: 'godwit_' });
  const registers = [registry];
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
    hostsReachable: new Gauge({ name: 'godwit_hosts_reachable', help: 'Hosts whose agent answers this controller.', registers }),
  };
}
