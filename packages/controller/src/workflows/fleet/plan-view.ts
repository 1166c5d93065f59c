import type { Plan } from '@godwit/contract/schemas/godwit/fleet-answers';
import type { Unplaced } from '@godwit/domain/drain-plan/plan-drain';
import { idOf, type PlannedServer } from '@godwit/domain/drain-plan/planned-server';
import type { MadePlan } from './make-plan.ts';

/** A plan as the API shows it. */
export function planView(made: MadePlan): Plan {
  const { plan, links } = made;
  const server = (planned: PlannedServer) => {
    const known = made.servers.get(idOf(planned));
    const { id, name } = planned.demand.server;
    return { id, name, projectId: known?.projectId ?? '', status: known?.status ?? '' };
  };
  return {
    kind: made.kind,
    complete: plan.unplaced.length === 0 && made.excluded.length === 0,
    items: plan.moves.map((move, position) => ({
      position,
      wave: move.wave,
      server: server(move.server),
      source: { id: move.server.demand.currentHost.id, name: move.server.demand.currentHost.name },
      destination: { id: move.to.id, name: move.to.name },
      method: move.server.method,
      pinned: move.server.demand.requestedHost !== null,
      makesRoom: move.makesRoom,
      why: [...move.why],
      bytes: move.server.bytes,
      expected: { startMs: move.startMs, endMs: move.endMs },
    })),
    excluded: [
      ...made.excluded.map(({ server: { host, ...rest }, code, reason, remedy }) => ({
        server: { ...rest },
        source: host === null ? null : { ...host },
        code,
        reason,
        remedy,
        override: null,
        hosts: [],
      })),
      ...plan.unplaced.map((unplaced) => ({
        server: server(unplaced.server),
        source: { id: unplaced.server.demand.currentHost.id, name: unplaced.server.demand.currentHost.name },
        code: unplaced.code,
        reason: unplaced.reason,
        remedy: unplaced.remedy,
        override: overrideOf(unplaced),
        hosts: unplaced.hosts.map((host) => ({ ...host })),
      })),
    ],
    expected: {
      durationMs: Math.round(plan.durationMs),
      waves: plan.waves,
      bytes: plan.bytes,
      linkBytesPerSecond: links.typicalBytesPerSecond,
      measured: links.measured,
    },
    search: { outcome: plan.outcome, states: plan.states, sentence: searchSentence(made) },
  };
}

const overrideOf = ({ override }: Unplaced) =>
  override === null ? null : { serverGroup: { id: override.id, name: override.name, policy: override.policy } };

function searchSentence({ plan }: MadePlan): string {
  const left = plan.unplaced.length;
  const servers = left === 1 ? '1 server' : `${left} servers`;
  switch (plan.outcome) {
    case 'found':
      return 'Every server that can be moved has a place.';
    case 'impossible':
      return `For ${servers} there is no place: no order of the moves and no choice of destinations makes room, and that is proven.`;
    case 'limit':
      return `For ${servers} no place was found within the bound of the search; that proves nothing.`;
  }
}
