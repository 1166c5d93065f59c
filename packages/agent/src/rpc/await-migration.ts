import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId } from '@godwit/domain/ids';
import type { HostDriver } from '../drivers/host-driver.ts';
import type { MigrationReport } from '../drivers/migration-report.ts';

/** A caller that wants to wait longer asks again. */
const longestMs = 60_000;

/** The migration's report; throws MigrationNotFound when this host has no part in it. */
export function findMigration(driver: HostDriver, id: MigrationId): MigrationReport {
  const report = driver.migrations().find((one) => one.migrationId === id);
  if (!report) throw new GodwitError('MigrationNotFound', `this host has no part in migration ${id}`);
  return report;
}

/** Resolves with the report once its state is not `knownState`, after `waitMs`, or when the signal aborts, whichever comes first. */
export function awaitMigration(
  driver: HostDriver,
  id: MigrationId,
  knownState: string,
  waitMs: number,
  signal: AbortSignal,
): Promise<MigrationReport> {
  const now = findMigration(driver, id);
  if (now.state !== knownState || waitMs <= 0) return Promise.resolve(now);
  return new Promise((resolve, reject) => {
    const finish = (): void => {
      off();
      clearTimeout(timer);
      signal.removeEventListener('abort', finish);
      try {
        resolve(findMigration(driver, id));
      } catch (error) {
        reject(error);
      }
    };
    const off = driver.events.on(({ event }) => {
      if (event.kind === 'migration' && event.migration.migrationId === id && event.migration.state !== knownState) finish();
    });
    const timer = setTimeout(finish, Math.min(waitMs, longestMs));
    signal.addEventListener('abort', finish);
  });
}
