import type { HostId } from '../ids.ts';
import type { HostState } from '../scheduling/host-state.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { CloudModel } from './cloud-model.ts';
import { idOf, type PlannedServer } from './planned-server.ts';

/** What a move costs, as far as it is known before. */
export type MoveCost = { readonly linkMs: number; readonly blackoutMs: number };

export type BalanceMove = {
  readonly server: PlannedServer;
  readonly to: HostState;
  /** Shares of the fullest resource, in per cent of what the host may promise. */
  readonly sourceBefore: number;
  readonly sourceAfter: number;
  readonly destinationAfter: number;
  readonly cost: MoveCost;
};

export type BalanceOptions = { readonly cost: (server: PlannedServer, to: HostId) => MoveCost };

/** A host is contended when it is this full, and this much fuller than hosts are on average: where all are full, moving helps nobody. */
export const CONTENDED_PER_CENT = 75;
export const ABOVE_MEAN_POINTS = 20;
/**
 * Where a move may bring its destination at most, above the mean. The gap to `ABOVE_MEAN_POINTS` is the hysteresis: what was moved is not moved back before loads have changed by as much, and a
 * host that is not contended gives nothing away, so that advice carried out ends advice.
 */
export const DESTINATION_ABOVE_MEAN_POINTS = 10;
/** A move that relieves its source by less is not worth its blackout. */
const LEAST_RELIEF_POINTS = 2;
/** Of one advice. */
const MOST_MOVES = 50;
/** What a second on the link, and a tenth of a second without the guest, have to be worth in points of relief. */
const POINTS_PER_LINK_SECOND = 0.05;
const POINTS_PER_TENTH_OF_BLACKOUT = 0.5;

/** How full a host is: the fullest of its claimed memory and vCPUs, in per cent of what it may promise. Claims, because they stand still: what a guest uses changes by the second, and advice would with it. */
export function fullness({ usage, facts, ratios }: HostState): number {
  const ram = usage.ramMib / (facts.ramMib * ratios.ramMib);
  const vcpus = usage.vcpus / (facts.cores * ratios.vcpus);
  return 100 * Math.max(ram, vcpus);
}

/** Hosts that take part: guests can come to them and leave them. */
const takesPart = (host: HostState): boolean =>
  host.facts.hypervisorType === 'QEMU' && host.reachable && host.enabled && !host.forcedDown && host.fenced !== true;

/** The hosts that are contended now, the fullest first. */
export function contendedHosts(snapshot: Snapshot): readonly HostState[] {
  const hosts = snapshot.hosts.filter(takesPart);
  const mean = meanOf(hosts.map(fullness));
  return hosts.filter((host) => contended(fullness(host), mean)).toSorted((a, b) => fullness(b) - fullness(a));
}

const contended = (full: number, mean: number): boolean => full >= CONTENDED_PER_CENT && full > mean + ABOVE_MEAN_POINTS;
const meanOf = (values: readonly number[]): number => (values.length === 0 ? 0 : values.reduce((sum, one) => sum + one, 0) / values.length);

/**
 * Moves that relieve contended hosts, each the best for what it costs at its point in the order: relief of the source in points, less what link time and blackout are worth. Empty when nothing is contended, or
 * no move is worth its cost. `servers` are those that may move from the contended hosts. Carried out, the same question has an empty answer unless something else has changed.
 */
export function adviseBalance(snapshot: Snapshot, servers: readonly PlannedServer[], { cost }: BalanceOptions): readonly BalanceMove[] {
  const model = new CloudModel(snapshot);
  const moves: BalanceMove[] = [];
  const moved = new Set<string>();
  while (moves.length < MOST_MOVES) {
    const hosts = model.snapshot().hosts.filter(takesPart);
    const mean = meanOf(hosts.map(fullness));
    const sources = new Set(contendedHosts(model.snapshot()).map(({ id }) => id));
    let best: { readonly move: BalanceMove; readonly worth: number } | null = null;
    for (const server of servers) {
      const source = server.demand.currentHost.id;
      if (moved.has(idOf(server)) || !sources.has(source)) continue;
      const sourceBefore = fullness(model.host(source));
      for (const { host } of model.decide(server, { seed: 1, limit: 3 }).chosen) {
        const undo = model.move(server, host.id);
        const [sourceAfter, destinationAfter] = [fullness(model.host(source)), fullness(model.host(host.id))];
        undo();
        if (destinationAfter > mean + DESTINATION_ABOVE_MEAN_POINTS || sourceBefore - sourceAfter < LEAST_RELIEF_POINTS) continue;
        const charged = cost(server, host.id);
        // Below the line there is nothing left to relieve.
        const relief = sourceBefore - Math.max(sourceAfter, mean + DESTINATION_ABOVE_MEAN_POINTS);
        const worth = relief - (charged.linkMs / 1000) * POINTS_PER_LINK_SECOND - (charged.blackoutMs / 100) * POINTS_PER_TENTH_OF_BLACKOUT;
        if (worth > 0 && (best === null || worth > best.worth))
          best = { move: { server, to: host, sourceBefore, sourceAfter, destinationAfter, cost: charged }, worth };
      }
    }
    if (best === null) return moves;
    model.move(best.move.server, best.move.to.id);
    moved.add(idOf(best.move.server));
    moves.push(best.move);
  }
  return moves;
}
