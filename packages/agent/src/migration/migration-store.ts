import { mkdir, readdir, readFile, rename, rm, stat, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { Grant } from '@godwit/domain/custody/grant';
import type { DiskSpec } from '@godwit/domain/guest-spec';
import type { IncomingReady, MigrationPolicy, PeerAddress } from '../drivers/host-driver.ts';
import type { MigrationReport } from '../drivers/migration-report.ts';

/**
 * What an agent that takes over from a dead one needs of a move beside custody's journal: where the peer is, what was opened, and the account so far. Losing it costs measurements and
 * a repeated release (the controller relays it), never custody.
 */
export type StoredMigration = {
  readonly role: MigrationReport['role'];
  readonly grant: Grant;
  readonly peer: PeerAddress;
  readonly policy: MigrationPolicy;
  readonly ready: IncomingReady | null;
  readonly udpPort: number | null;
  /** Destination: disks made here for the source to fill. Only a forfeit deletes them. */
  readonly copies?: readonly DiskSpec[];
  readonly report: MigrationReport;
};

/** Accounts of ended moves are kept this long for a controller that was away. */
const keptMs = 24 * 3_600_000;

export class MigrationStore {
  readonly #folder: string;
  /** Writes of one move follow each other: an older account must not replace a newer one. */
  readonly #writing = new Map<string, Promise<void>>();

  constructor(stateDir: string) {
    this.#folder = join(stateDir, 'moves');
  }

  async write(move: StoredMigration): Promise<void> {
    const path = this.#path(move);
    const text = JSON.stringify(move);
    const turn = (this.#writing.get(path) ?? Promise.resolve())
      .catch(() => undefined)
      .then(async () => {
        await mkdir(this.#folder, { recursive: true, mode: 0o700 });
        await writeFile(`${path}.new`, text, { mode: 0o600 });
        await rename(`${path}.new`, path);
      });
    this.#writing.set(path, turn);
    await turn;
  }

  /** Every account, oldest first; ones that are old or unreadable are deleted. */
  async readAll(nowMs: number): Promise<readonly StoredMigration[]> {
    const names = await readdir(this.#folder).catch((error: NodeJS.ErrnoException) =>
      error.code === 'ENOENT' ? [] : Promise.reject(error),
    );
    const found: { readonly at: number; readonly move: StoredMigration }[] = [];
    for (const name of names) {
      const path = join(this.#folder, name);
      try {
        const { mtimeMs } = await stat(path);
        if (!name.endsWith('.json') || nowMs - mtimeMs > keptMs) throw new Error('old');
        found.push({ at: mtimeMs, move: JSON.parse(await readFile(path, 'utf8')) as StoredMigration });
      } catch {
        await rm(path, { force: true });
      }
    }
    return found.sort((a, b) => a.at - b.at).map(({ move }) => move);
  }

  #path(move: StoredMigration): string {
    return join(this.#folder, `${move.report.migrationId}-${move.role}.json`);
  }
}
