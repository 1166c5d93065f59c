import type { ServerId } from '../ids.ts';
import { type Decision, decide } from '../scheduling/decide.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { CloudModel } from './cloud-model.ts';
import { idOf, type PlannedServer } from './planned-server.ts';

/**
 * Of `left`, those that no host takes even when everything that may move is nowhere: a proof that no order and no choice of destinations places them. Sound because each filter
 * passes a host whenever it passes it with more on it, but for same_host, whose named servers are then taken to be anywhere.
 */
export function hopelessOf(
  snapshot: Snapshot,
  movable: readonly PlannedServer[],
  left: readonly PlannedServer[],
): ReadonlyMap<ServerId, Decision> {
  if (left.length === 0) return new Map();
  const model = new CloudModel(snapshot);
  for (const server of movable) model.lift(server);
  const lifted = new Set(movable.map(idOf));
  const empty = model.snapshot();
  return new Map(
    left.flatMap((server) => {
      const demand = model.demandOf(server);
      const anywhere = demand.hints.sameHost.some(({ id }) => lifted.has(id));
      const decision = decide(empty, anywhere ? { ...demand, hints: { ...demand.hints, sameHost: [] } } : demand, { seed: 0, limit: 1 });
      return decision.passing === 0 ? [[idOf(server), decision] as const] : [];
    }),
  );
}
