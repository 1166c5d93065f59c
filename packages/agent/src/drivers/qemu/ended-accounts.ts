import type { MigrationId } from '@godwit/domain/ids';
import type { MigrationReport } from '../migration-report.ts';

/** Accounts kept in memory, for a controller that asks late. */
const kept = 256;

/** Accounts of moves whose guest and process are gone: told, and nothing else. */
export class EndedAccounts {
  readonly #accounts = new Map<MigrationId, MigrationReport>();

  reports(): readonly MigrationReport[] {
    return [...this.#accounts.values()];
  }

  get(migrationId: MigrationId): MigrationReport | undefined {
    return this.#accounts.get(migrationId);
  }

  /** The same migration is tried again: its earlier end is not its end. */
  forget(migrationId: MigrationId): void {
    this.#accounts.delete(migrationId);
  }

  add(report: MigrationReport): void {
    this.#accounts.set(report.migrationId, report);
    for (const oldest of this.#accounts.keys()) {
      if (this.#accounts.size <= kept) break;
      this.#accounts.delete(oldest);
    }
  }
}
