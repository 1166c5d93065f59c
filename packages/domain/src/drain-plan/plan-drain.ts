import type { Decision } from '../scheduling/decide.ts';
import { explainRejection, type Reason } from '../scheduling/explain.ts';
import type { RejectionCode } from '../scheduling/rejection-codes.ts';
import type { DemandedGroup } from '../scheduling/server-demand.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { CloudModel } from './cloud-model.ts';
import { type FindOptions, type FoundMoves, findMoves } from './find-moves.ts';
import { idOf, type PlannedServer } from './planned-server.ts';
import { type LinkFacts, type TimedMove, timeMoves } from './time-moves.ts';

export type Unplaced = {
  readonly server: PlannedServer;
  readonly code: RejectionCode | 'NoValidHost';
  readonly reason: string;
  /** The smallest change that would let it move, on the host that is nearest to taking it; null when nothing would. */
  readonly remedy: string | null;
  /** The group whose hard rule stands in the way. */
  readonly override: DemandedGroup | null;
  readonly hosts: readonly { readonly name: string; readonly sentence: string; readonly smallestChange: string | null }[];
};

export type DrainPlan = {
  readonly moves: readonly TimedMove[];
  readonly unplaced: readonly Unplaced[];
  readonly outcome: FoundMoves['outcome'];
  readonly states: number;
  readonly durationMs: number;
  readonly waves: number;
  readonly bytes: number;
};

export type PlanOptions = Omit<FindOptions, 'searchChecks'> & { readonly links: LinkFacts; readonly searchChecks?: number };

/** About a second on one core. */
export const SEARCH_CHECKS = 2_000_000;

/**
 * Ordered moves with destinations for `servers`, what cannot be moved and why, and how long it will take. Pure: the same snapshot, servers and seed give the same plan. Nothing but the
 * scheduler's filters and weighers says where a server may go. Hosts that are to be emptied are disabled in the snapshot that is given.
 */
export function planDrain(snapshot: Snapshot, servers: readonly PlannedServer[], options: PlanOptions): DrainPlan {
  const found = findMoves(snapshot, servers, { ...options, searchChecks: options.searchChecks ?? SEARCH_CHECKS });
  const moves = timeMoves(snapshot, found.moves, options.links);
  const afterwards = new CloudModel(snapshot);
  for (const move of moves) afterwards.move(move.server, move.to.id);
  return {
    moves,
    unplaced: found.left.map((server) => {
      const hopeless = found.hopeless.get(idOf(server));
      return unplaced(server, hopeless ?? afterwards.decide(server, { seed: 0, limit: 1 }), hopeless !== undefined, found.outcome);
    }),
    outcome: found.outcome,
    states: found.states,
    durationMs: moves.reduce((last, move) => Math.max(last, move.endMs), 0),
    waves: moves.reduce((last, move) => Math.max(last, move.wave), 0),
    bytes: moves.reduce((sum, move) => sum + move.server.bytes, 0),
  };
}

const HOSTS_TOLD = 20;
/** These say nothing about what the server needs. */
const saysLittle: ReadonlySet<RejectionCode> = new Set<RejectionCode>(['CurrentHost', 'NotRequestedHost']);

function unplaced(server: PlannedServer, decision: Decision, hopeless: boolean, outcome: FoundMoves['outcome']): Unplaced {
  const { demand } = decision;
  const hosts = decision.hosts
    .map((host, index) => ({ host, reasons: decision.rejectionsOf(index).map((rejection) => explainRejection(rejection, demand)) }))
    .filter(({ reasons }) => reasons.length > 0 && !reasons.some(({ code }) => saysLittle.has(code)))
    // What can be mended with the fewest changes first.
    .toSorted((a, b) => effort(a.reasons) - effort(b.reasons) || (a.host.name < b.host.name ? -1 : 1));
  const nearest = hosts[0];
  const where = demand.requestedHost === null ? 'no host takes it' : `${demand.requestedHost.name} does not take it`;
  const how = hopeless
    ? 'whatever else moves'
    : outcome === 'limit'
      ? 'in any order that the search came to'
      : 'when everything else has moved';
  const why = nearest === undefined ? 'there is no other host' : `${nearest.host.name}: ${sentences(nearest.reasons)}`;
  const changes = nearest?.reasons.flatMap(({ smallestChange }) => smallestChange ?? []) ?? [];
  const group = nearest?.reasons.some(({ filter }) => filter === 'group') === true ? demand.group : null;
  return {
    server,
    code: nearest?.reasons[0]?.code ?? 'NoValidHost',
    reason: `${where}, ${how}; ${why}`,
    remedy:
      nearest === undefined || changes.length < nearest.reasons.length
        ? null
        : `on ${nearest.host.name}: ${[...new Set(changes)].join(', and ')}`,
    override: group,
    hosts: hosts.slice(0, HOSTS_TOLD).map(({ host, reasons }) => ({
      name: host.name,
      sentence: sentences(reasons),
      smallestChange: reasons.every(({ smallestChange }) => smallestChange !== null)
        ? [...new Set(reasons.map(({ smallestChange }) => smallestChange))].join(', and ')
        : null,
    })),
  };
}

const sentences = (reasons: readonly Reason[]): string => reasons.map(({ sentence }) => sentence).join('; ');
const effort = (reasons: readonly Reason[]): number =>
  reasons.reduce((sum, { smallestChange }) => sum + (smallestChange === null ? 100 : 1), 0);
