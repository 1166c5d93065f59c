import type { QemuMigrationStatus, QemuProcess, QemuRunstate, QemuView } from '@godwit/domain/custody/qemu-view';
import type { QmpClient } from '../qemu/qmp-client.ts';
import { QmpClosed } from '../qemu/qmp-errors.ts';
import { processAlive, processDead } from './kill-process.ts';
import type { QemuControl } from './qemu-control.ts';

/** QEMU's main loop answers in well under a millisecond; while it loads a big guest, or hangs, it does not. */
const answerMs = 3_000;
/** From a closed monitor to the end of the process, and from `quit` to it, disks flushed. */
const endMs = 3_000;

/** A QEMU process through its monitor. */
export function qmpControl({ ref, qmp }: { readonly ref: QemuProcess; readonly qmp: Pick<QmpClient, 'execute' | 'on'> }): QemuControl {
  const process: QemuProcess = { pid: ref.pid, startTicks: ref.startTicks };
  // An incoming QEMU that has shown itself loaded and paused stays so until it is ordered otherwise, and tells every change by an event (conformance: loaded-is-paused).
  // Having seen it there, the take need not ask again while the guest stands still.
  let loaded: QemuView | null = null;
  let changes = 0;
  const changed = (): void => {
    loaded = null;
    changes += 1;
  };
  qmp.on(changed);
  const order = async (command: string, args?: Readonly<Record<string, unknown>>): Promise<void> => {
    changed();
    await qmp.execute(command, args, { timeoutMs: answerMs });
  };
  return {
    process,
    look: async () => {
      if (loaded !== null && processAlive(process)) return loaded;
      const changesBefore = changes;
      try {
        const [migration, status] = await Promise.all([
          qmp.execute('query-migrate', undefined, { timeoutMs: answerMs }),
          qmp.execute('query-status', undefined, { timeoutMs: answerMs }),
        ]);
        const view = viewFrom(status as { status: string }, migration as { status?: string });
        if (changes === changesBefore && view.runstate === 'paused' && view.migration === 'completed') loaded = view;
        return view;
      } catch (error) {
        if (!processAlive(process)) return null;
        if (!(error instanceof QmpClosed)) throw error;
        await processDead(process, endMs);
        return null;
      }
    },
    cont: () => order('cont'),
    stop: () => order('stop'),
    reset: () => order('system_reset'),
    powerDown: () => order('system_powerdown'),
    migrate: (args) => order('migrate', args),
    continueMigration: () => order('migrate-continue', { state: 'pre-switchover' }),
    cancel: () => order('migrate_cancel'),
    quit: async () => {
      await order('quit').catch((error: unknown) => {
        // It may close the monitor before it has answered.
        if (!(error instanceof QmpClosed)) throw error;
      });
      await processDead(process, endMs);
    },
    onMigrationStatus: (listener) =>
      qmp.on((event) => {
        if (event.event === 'MIGRATION') listener(statusFrom(String(event.data['status'])));
      }),
  };
}

export const viewFrom = (status: { readonly status: string }, migration: { readonly status?: string }): QemuView => ({
  runstate: runstateFrom(status.status),
  migration: statusFrom(migration.status ?? 'none'),
});

const runstates: ReadonlySet<string> = new Set<QemuRunstate>([
  'prelaunch',
  'inmigrate',
  'paused',
  'running',
  'finish-migrate',
  'postmigrate',
]);
const runstateFrom = (word: string): QemuRunstate => (runstates.has(word) ? (word as QemuRunstate) : 'other');

const statuses: ReadonlySet<string> = new Set<QemuMigrationStatus>([
  'none',
  'setup',
  'active',
  'pre-switchover',
  'device',
  'postcopy-device',
  'postcopy-active',
  'postcopy-paused',
  'cancelling',
  'cancelled',
  'failed',
  'completed',
]);
const statusFrom = (word: string): QemuMigrationStatus => (statuses.has(word) ? (word as QemuMigrationStatus) : 'other');
