import type { NicSpec } from '@godwit/domain/guest-spec';
import type { MigrationId } from '@godwit/domain/ids';
import type { NetworkEncapsulation } from '../drivers/host-driver.ts';
import type { NetworkTools } from '../network/network-tools.ts';
import { closeMirror, type MirroredNic, openMirror, prepareMirror, removeTunnels } from './frame-mirror.ts';

/**
 * The source's side of the network switch, through one move: wanted → prepared → opening → open → removed; or none, when there is no mirror. What is taken away is looked for on the host,
 * not remembered: an earlier agent may have made it.
 */
export class SourceNetwork {
  readonly #tools: NetworkTools;
  readonly #migration: MigrationId;
  readonly #nics: readonly MirroredNic[];
  readonly #local: string;
  #state: 'none' | 'wanted' | 'prepared' | 'opening' | 'open' | 'removed';
  readonly #restored: boolean;
  #removal: Promise<void> | null = null;
  /** Whether the other side may have been opened. */
  wasOpen: boolean;

  constructor(tools: NetworkTools, migration: MigrationId, nics: readonly NicSpec[], local: string, wanted: boolean, restored: boolean) {
    this.#restored = restored;
    this.wasOpen = restored;
    this.#state = wanted && nics.length > 0 ? 'wanted' : 'none';
    this.#tools = tools;
    this.#migration = migration;
    this.#nics = nics.map(({ tapName, mac }) => ({ tap: tapName, mac }));
    this.#local = local;
  }

  /** Wanted and not open yet: the stop should wait for it. */
  get pending(): boolean {
    return this.#state === 'wanted' || this.#state === 'prepared' || this.#state === 'opening';
  }

  /** It will not be open: nothing waits for it any longer. False when nothing did. */
  giveUp(): boolean {
    const waited = this.pending;
    if (waited) this.#state = 'none';
    return waited;
  }

  async prepare(to: NetworkEncapsulation): Promise<void> {
    if (this.#state === 'removed') return;
    // What an earlier agent opened would copy every frame a second time.
    if (this.#restored) await closeMirror(this.#nics);
    await prepareMirror(this.#migration, this.#nics, this.#local, to);
    if (this.#state === 'wanted') this.#state = 'prepared';
    // Removed meanwhile: what has just been made must not stay.
    if (this.#removal) await this.#removal.then(() => removeTunnels(this.#tools, this.#migration, this.#nics.length));
  }

  /** Claims the opening; false when there is nothing to open, or somebody has begun. */
  begin(): boolean {
    if (this.#state !== 'prepared') return false;
    this.#state = 'opening';
    this.wasOpen = true;
    return true;
  }

  async open(): Promise<void> {
    await openMirror(this.#migration, this.#nics);
    if (this.#state === 'opening') this.#state = 'open';
    // Undone meanwhile: the filter that has just been made must not stay.
    else await closeMirror(this.#nics);
  }

  /** The guest runs here again: its frames go nowhere else. */
  async undo(): Promise<void> {
    if (this.#state === 'removed') return;
    this.#state = 'removed';
    await closeMirror(this.#nics);
  }

  /** Once for each move: the next attempt's tunnels have the same names. */
  remove(): Promise<void> {
    this.#removal ??= this.#takeAway().catch((error: unknown) => {
      // The next end of the move tries again.
      this.#removal = null;
      throw error;
    });
    return this.#removal;
  }

  async #takeAway(): Promise<void> {
    try {
      await this.undo();
    } finally {
      await removeTunnels(this.#tools, this.#migration, this.#nics.length);
    }
  }
}
