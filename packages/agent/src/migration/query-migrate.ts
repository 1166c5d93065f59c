import type { MemoryPerByte } from '@godwit/domain/convergence/sample';
import type { RamProgress } from '../drivers/migration-report.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';

/** One look at QEMU's migration. Its `mbps` is that of the wire: `CarriedMemory` makes it that of memory. */
export type MigrateLook = {
  /** QEMU's word; `none` before the first. */
  readonly status: string;
  readonly ram: RamProgress | null;
  /** Of a compressed stream, once its speed is that of memory. */
  readonly memoryPerByte?: MemoryPerByte;
  readonly downtimeMs: number | null;
  readonly totalMs: number | null;
  /** QEMU's own sentence when it failed; empty otherwise. */
  readonly error: string;
};

type Raw = {
  readonly status?: string;
  readonly 'error-desc'?: string;
  readonly downtime?: number;
  readonly 'total-time'?: number;
  readonly ram?: {
    readonly total: number;
    readonly transferred: number;
    readonly remaining: number;
    readonly 'dirty-pages-rate'?: number;
    readonly 'dirty-sync-count'?: number;
    readonly 'page-size'?: number;
    readonly mbps?: number;
    readonly 'normal-bytes'?: number;
  };
};

/** Throws what the monitor throws: QmpTimeout when QEMU's main loop hangs, QmpClosed when it is gone. */
export async function queryMigrate(qmp: QmpClient, timeoutMs: number): Promise<MigrateLook> {
  const raw = (await qmp.execute('query-migrate', undefined, { timeoutMs })) as Raw;
  const { ram } = raw;
  return {
    status: raw.status ?? 'none',
    ram: ram
      ? {
          totalBytes: ram.total,
          transferredBytes: ram.transferred,
          memoryBytes: ram['normal-bytes'] ?? 0,
          remainingBytes: ram.remaining,
          dirtyPagesRate: ram['dirty-pages-rate'] ?? 0,
          dirtySyncCount: ram['dirty-sync-count'] ?? 0,
          pageSize: ram['page-size'] ?? 4096,
          mbps: ram.mbps ?? 0,
        }
      : null,
    downtimeMs: raw.downtime ?? null,
    totalMs: raw['total-time'] ?? null,
    error: raw['error-desc'] ?? '',
  };
}
