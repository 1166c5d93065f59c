import type { QemuMigrationStatus, QemuProcess, QemuView } from '@godwit/domain/custody/qemu-view';

/** What the gate needs of one QEMU process. Every method throws when QEMU refuses or is silent; then it may or may not have happened. */
export type QemuControl = {
  readonly process: QemuProcess;
  /** Status first, runstate second: a runstate never is older than the status beside it. Null: the process is dead. */
  look(): Promise<QemuView | null>;
  cont(): Promise<void>;
  stop(): Promise<void>;
  reset(): Promise<void>;
  powerDown(): Promise<void>;
  migrate(args: Readonly<Record<string, unknown>>): Promise<void>;
  continueMigration(): Promise<void>;
  cancel(): Promise<void>;
  /** Returns once the process is dead; throws when QEMU does not end within its deadline. */
  quit(): Promise<void>;
  /** Every status that QEMU announces, as it is read. Returns the unsubscriber. */
  onMigrationStatus(listener: (status: QemuMigrationStatus) => void): () => void;
};
