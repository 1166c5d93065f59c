import type { MigrationCause } from '@godwit/domain/migration';

/** Why the disks cannot be copied, or were not. */
export class MirrorBroken extends Error {
  readonly migrationCause: MigrationCause;
  constructor(migrationCause: MigrationCause, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = 'MirrorBroken';
    this.migrationCause = migrationCause;
  }
}

/** The error itself when it says why already; otherwise it broke the stream. */
export const brokenBy = (error: unknown, what: string): MirrorBroken =>
  error instanceof MirrorBroken ? error : new MirrorBroken('StreamFailed', `${what}: ${(error as Error).message}`, { cause: error });
