import type { NicSpec } from '@godwit/domain/guest-spec';
import type { MigrationId } from '@godwit/domain/ids';
import type { NetworkEncapsulation } from '../drivers/host-driver.ts';
import type { NetworkTools } from '../network/network-tools.ts';
import { closeMirror, type MirroredNic, openMirror, prepareMirror, removeTunnels } from './frame-mirror.ts';

/** The source's side of the network switch, through one move: wanted → prepared → opening → open → removed; or none, when there is no mirror. */
export class SourceNetwork {
  readonly #tools: NetworkTools;
  readonly #migration: MigrationId;
  readonly #nics: readonly MirroredNic[];
  readonly #local: string;
  #state: 'none' | 'wanted' | 'prepared' | 'opening' | 'open' | 'removed';
  #made = false;
  wasOpen = false;

  constructor(tools: NetworkTools, migration: MigrationId, nics: readonly NicSpec[], local: string, wanted: boolean) {
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
    this.#made = true;
    await prepareMirror(this.#migration, this.#nics, this.#local, to);
    if (this.#state === 'wanted') this.#state = 'prepared';
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
    const had = this.wasOpen;
    this.#state = 'removed';
    if (had) await closeMirror(this.#nics);
  }

  async remove(): Promise<void> {
    const made = this.#made;
    await this.undo();
    if (made) await removeTunnels(this.#tools, this.#migration, this.#nics.length);
  }
}
