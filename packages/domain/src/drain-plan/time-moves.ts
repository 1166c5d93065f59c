import type { HostId } from '../ids.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { CloudModel } from './cloud-model.ts';
import type { PlannedMove } from './planned-server.ts';

/** What a run may do at once, and how fast. */
export type LinkFacts = {
  /** Moves at the same time at most, in all. */
  readonly parallel: number;
  readonly outgoingPerHost: number;
  readonly incomingPerHost: number;
  /** Of a host's migration link, each way; a move gets the slower of the two, shared by those on it. */
  readonly bytesPerSecond: (host: HostId) => number;
  /** Of one move beside its bytes: preparing, switching over, committing. */
  readonly fixedMs: number;
};

export type TimedMove = PlannedMove & { readonly wave: number; readonly startMs: number; readonly endMs: number };

/**
 * When each move begins and ends: in the plan's order, each as soon as a slot and both links are free and its destination passes with all that are under way on both their hosts. A
 * later move overtakes an earlier one that waits for its links only where neither can stand in the other's way. A wave: those that had to wait for the wave before.
 */
export function timeMoves(snapshot: Snapshot, moves: readonly PlannedMove[], links: LinkFacts): readonly TimedMove[] {
  type Running = { readonly move: PlannedMove; readonly endMs: number; readonly wave: number };
  const model = new CloudModel(snapshot);
  const timed = new Map<PlannedMove, TimedMove>();
  let waiting = moves;
  let running: readonly Running[] = [];
  let [nowMs, lastWaveEnded] = [0, 0];
  while (waiting.length > 0) {
    const ahead = passedOver();
    const rest: PlannedMove[] = [];
    for (const [index, move] of waiting.entries()) {
      if (running.length >= links.parallel) {
        rest.push(...waiting.slice(index));
        break;
      }
      const from = move.server.demand.currentHost.id;
      const leaving = running.filter((one) => one.move.server.demand.currentHost.id === from).length;
      const arriving = running.filter((one) => one.move.to.id === move.to.id).length;
      const free = leaving < links.outgoingPerHost && arriving < links.incomingPerHost;
      if (free && !ahead.inTheWayOf(move) && model.passes(move.server, move.to.id)) {
        model.begin(move.server, move.to.id);
        const rate = Math.min(links.bytesPerSecond(from) / (leaving + 1), links.bytesPerSecond(move.to.id) / (arriving + 1));
        const endMs = nowMs + links.fixedMs + Math.ceil((move.server.bytes / rate) * 1000);
        const wave = lastWaveEnded + 1;
        running = [...running, { move, endMs, wave }];
        timed.set(move, { ...move, wave, startMs: nowMs, endMs });
      } else {
        ahead.add(move);
        rest.push(move);
      }
    }
    waiting = rest;
    const next = running.reduce<Running | null>((first, one) => (first === null || one.endMs < first.endMs ? one : first), null);
    if (next === null) {
      // Every move passes in its turn, so the first can always begin when nothing runs.
      if (waiting.length > 0)
        throw new Error(`the plan cannot be run: ${waiting[0]?.server.demand.server.name ?? ''} does not pass in its turn`);
      break;
    }
    nowMs = next.endMs;
    model.finish(next.move.server, next.move.to.id);
    running = running.filter((one) => one !== next);
    lastWaveEnded = Math.max(lastWaveEnded, next.wave);
  }
  return moves.flatMap((move) => timed.get(move) ?? []);
}

/** Moves that wait, and whether a later one may overtake them: not where their order can matter, by a host in common other than the one both leave, or a group or hint that ties them. */
function passedOver(): { readonly add: (move: PlannedMove) => void; readonly inTheWayOf: (move: PlannedMove) => boolean } {
  const [sources, destinations, tied] = [new Set<string>(), new Set<string>(), new Set<string>()];
  // What a move's order can matter to beside its hosts: its group, itself, and the servers that it names.
  const tiesOf = ({ server: { demand } }: PlannedMove): readonly string[] => [
    ...(demand.group === null ? [] : [demand.group.id]),
    demand.server.id,
    ...[...demand.hints.sameHost, ...demand.hints.differentHost].map(({ id }) => id),
  ];
  return {
    add: (move) => {
      sources.add(move.server.demand.currentHost.id);
      destinations.add(move.to.id);
      for (const tie of tiesOf(move)) tied.add(tie);
    },
    inTheWayOf: (move) =>
      destinations.has(move.to.id) ||
      sources.has(move.to.id) ||
      destinations.has(move.server.demand.currentHost.id) ||
      tiesOf(move).some((tie) => tied.has(tie)),
  };
}
