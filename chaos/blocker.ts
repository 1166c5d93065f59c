/**
 * A move of a simulated guest between simulated hosts, which takes the one turn that this lab's controllers give: whoever comes behind it waits in `queued`. The simulated hosts are disabled meanwhile,
 * so that no other guest is ever sent there.
 */
import { type ChaosLab, until } from './chaos-lab.ts';
import { newGuest } from './new-guest.ts';

const MOVES_MS = 30_000;
export class Blocker {
  readonly #lab: ChaosLab;
  readonly #serverId: string;
  #move: string | null = null;

  private constructor(lab: ChaosLab, serverId: string) {
    this.#lab = lab;
    this.#serverId = serverId;
  }

  /** Makes the simulated guest. */
  static async make(lab: ChaosLab): Promise<Blocker> {
    await enable(lab, true);
    const guest = await newGuest(lab, 'shared', { name: 'chaos-blocker', host: 'sim1' });
    await enable(lab, false);
    return new Blocker(lab, guest.id);
  }

  /** Resolves when its move copies. */
  async begin(): Promise<void> {
    const lab = this.#lab;
    const server = await lab.server(this.#serverId);
    const host = server['OS-EXT-SRV-ATTR:host'] === 'sim1' ? 'sim2' : 'sim1';
    await enable(lab, true);
    const { migration } = await lab.ask<{ readonly migration: { readonly id: string } }>(
      'godwit',
      'POST',
      `/servers/${this.#serverId}/live-migrations`,
      { host },
    );
    this.#move = migration.id;
    await until('the move in front copies', MOVES_MS, async () => {
      const { phase, outcome } = await lab.migration(migration.id);
      if (outcome !== null && outcome.cause !== null) throw new Error(`the move in front ended: ${outcome.sentence}`);
      return phase === 'copying' ? true : undefined;
    });
    await enable(lab, false);
  }

  /** Resolves when the turn is free. */
  async end(): Promise<void> {
    const move = this.#move;
    if (move === null) return;
    await this.#lab.ask('godwit', 'POST', `/migrations/${move}/abort`);
    await until('the move in front has ended', MOVES_MS, async () =>
      (await this.#lab.migration(move)).finishedAt === null ? undefined : true,
    );
    this.#move = null;
  }
}

async function enable(lab: ChaosLab, isEnabled: boolean): Promise<void> {
  type Services = { readonly services: readonly { readonly id: string; readonly host: string }[] };
  const { services } = await lab.ask<Services>('compute', 'GET', '/os-services?binary=nova-compute');
  for (const { id, host } of services)
    if (host.startsWith('sim')) await lab.ask('compute', 'PUT', `/os-services/${id}`, { status: isEnabled ? 'enabled' : 'disabled' });
}
