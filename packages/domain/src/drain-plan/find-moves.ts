import type { HostId, ServerId } from '../ids.ts';
import type { Candidate, Decision } from '../scheduling/decide.ts';
import { explainRank } from '../scheduling/explain.ts';
import type { RejectionCode } from '../scheduling/rejection-codes.ts';
import type { Snapshot } from '../scheduling/snapshot.ts';
import { CloudModel, type Undo } from './cloud-model.ts';
import { hopelessOf } from './hopeless.ts';
import { idOf, type PlannedMove, type PlannedServer } from './planned-server.ts';

export type FindOptions = {
  readonly seed: number;
  /** Servers that were not named and may move, once each, where that makes room. */
  readonly others: readonly PlannedServer[];
  /** How many hosts the filters may be asked about in the search beyond the greedy passes. */
  readonly searchChecks: number;
};

export type FoundMoves = {
  /** In an order in which each passes when its turn comes. */
  readonly moves: readonly PlannedMove[];
  readonly left: readonly PlannedServer[];
  /** Of those left, the ones that no host takes even when everything that may move is out of the way. */
  readonly hopeless: ReadonlyMap<ServerId, Decision>;
  /** `impossible`: every order and every choice of destinations was looked at, and none places all. `limit`: the search ended before. */
  readonly outcome: 'found' | 'impossible' | 'limit';
  readonly states: number;
};

type Step = { readonly server: PlannedServer; readonly to: HostId; readonly makesRoom: boolean; readonly why: readonly string[] };

/**
 * An order and destinations for all of `servers`, each moving once, or for as many as were found. First as the scheduler would decide one after the other; where that gets stuck
 * closely packed, then by moving one aside for another, and at last by looking at every order and every choice, as far as `searchChecks` goes.
 */
export function findMoves(snapshot: Snapshot, servers: readonly PlannedServer[], options: FindOptions): FoundMoves {
  let hopeless: FoundMoves['hopeless'] = new Map();
  const done = (steps: readonly Step[], outcome: FoundMoves['outcome'], states: number): FoundMoves => {
    const placed = new Set(steps.map(({ server }) => idOf(server)));
    const model = new CloudModel(snapshot);
    return {
      moves: steps.map(({ to, ...step }) => ({ ...step, to: model.host(to) })),
      left: servers.filter((server) => !placed.has(idOf(server))),
      hopeless,
      outcome,
      states,
    };
  };
  const bySize = servers.toSorted((a, b) => b.demand.flavor.ramMib - a.demand.flavor.ramMib || (idOf(a) < idOf(b) ? -1 : 1));
  let best: readonly Step[] = [];
  for (const choose of [asScheduled, packed]) {
    const steps = oneAfterTheOther(new CloudModel(snapshot), bySize, choose, options.seed);
    if (steps.length === servers.length) return done(steps, 'found', steps.length);
    if (steps.length > best.length) best = steps;
  }
  best = moveAside(snapshot, bySize, best, options);
  if (namedIn(best) === servers.length) return done(best, 'found', best.length);
  const placed = new Set(best.map(({ server }) => idOf(server)));
  hopeless = hopelessOf(
    snapshot,
    [...servers, ...options.others],
    servers.filter((server) => !placed.has(idOf(server))),
  );
  const hoped = bySize.filter((server) => !hopeless.has(idOf(server)));
  if (namedIn(best) === hoped.length) return done(best, 'impossible', best.length);
  const searched = everyOrder(snapshot, hoped, options);
  if (namedIn(searched.steps) > namedIn(best)) best = searched.steps;
  const all = namedIn(best) === hoped.length;
  return done(best, all && hopeless.size === 0 ? 'found' : all || searched.exhausted ? 'impossible' : 'limit', searched.states);
}

const namedIn = (steps: readonly Step[]): number => steps.reduce((count, step) => count + (step.makesRoom ? 0 : 1), 0);

type Choice = (model: CloudModel, server: PlannedServer, seed: number) => Candidate | null;
const asScheduled: Choice = (model, server, seed) => model.decide(server, { seed, limit: 1 }).chosen[0] ?? null;
/** The fullest host that passes, soft group rules before: leaves large holes for large servers. */
const packed: Choice = (model, server, seed) => {
  const candidates = model.decide(server, { seed, limit: Number.POSITIVE_INFINITY }).chosen;
  const soft = ({ weights }: Candidate): number => weights.find(({ weigher }) => weigher === 'soft-group')?.weight ?? 0;
  const free = ({ loadAfter: { ramMib } }: Candidate): number => ramMib.capacity - ramMib.used;
  return candidates.reduce<Candidate | null>(
    (best, one) => (best === null || soft(one) < soft(best) || (soft(one) === soft(best) && free(one) < free(best)) ? one : best),
    null,
  );
};

/** Moves each where `choose` says; what does not pass anywhere is asked again when others have left. */
function oneAfterTheOther(model: CloudModel, servers: readonly PlannedServer[], choose: Choice, seed: number): readonly Step[] {
  const steps: Step[] = [];
  let waiting = servers;
  for (;;) {
    const stuck: PlannedServer[] = [];
    for (const server of waiting) {
      const candidate = choose(model, server, seed);
      if (candidate === null) {
        stuck.push(server);
        continue;
      }
      steps.push({ server, to: candidate.host.id, makesRoom: false, why: explainRank(candidate, server.demand) });
      model.move(server, candidate.host.id);
    }
    if (stuck.length === 0 || stuck.length === waiting.length) return steps;
    waiting = stuck;
  }
}

/** What something leaving the host can mend. Prunes only: whether it does is asked of the filters. */
const relievable: ReadonlySet<RejectionCode> = new Set<RejectionCode>([
  'InsufficientRam',
  'InsufficientVcpus',
  'InsufficientDisk',
  'PoolFull',
  'AntiAffinity',
  'NotDifferentHost',
]);
/** Of the bound of the search, what moving aside may use. */
const ASIDE_SHARE = 0.5;

/** For each server that is left: one that went (or is) where it would fit goes elsewhere instead. */
function moveAside(snapshot: Snapshot, servers: readonly PlannedServer[], begun: readonly Step[], options: FindOptions): readonly Step[] {
  let steps = begun;
  const placed = new Set(steps.map(({ server }) => idOf(server)));
  const budget = { left: options.searchChecks * ASIDE_SHARE };
  for (const server of servers) {
    if (placed.has(idOf(server)) || budget.left <= 0) continue;
    const better = asideFor(snapshot, steps, server, options, budget);
    if (better === null) continue;
    steps = better;
    placed.add(idOf(server));
  }
  return steps;
}

function asideFor(
  snapshot: Snapshot,
  steps: readonly Step[],
  server: PlannedServer,
  options: FindOptions,
  budget: { left: number },
): readonly Step[] | null {
  const model = new CloudModel(snapshot);
  for (const step of steps) model.move(step.server, step.to);
  const limit = budget.left;
  let replays = 0;
  const spend = (): boolean => {
    budget.left = limit - model.checks - replays;
    return budget.left > 0;
  };
  const decision = model.decide(server, { seed: options.seed, limit: 1 });
  const [direct] = decision.chosen;
  if (direct !== undefined) return [...steps, { server, to: direct.host.id, makesRoom: false, why: explainRank(direct, server.demand) }];
  const hosts = decision.hosts.filter((_, index) => decision.rejectionsOf(index).every(({ code }) => relievable.has(code)));
  const moved = new Map(steps.map((step) => [idOf(step.server), step]));
  const there = new Map<HostId, PlannedServer[]>();
  const note = (host: HostId, one: PlannedServer): void => void there.set(host, [...(there.get(host) ?? []), one]);
  for (const step of steps) note(step.to, step.server);
  for (const other of options.others) if (idOf(other) !== idOf(server) && !moved.has(idOf(other))) note(other.demand.currentHost.id, other);
  for (const host of hosts)
    for (const aside of (there.get(host.id) ?? []).toSorted((a, b) => a.demand.flavor.ramMib - b.demand.flavor.ramMib)) {
      if (!spend()) return null;
      const back = model.leave(aside, host.id);
      const step = moved.get(idOf(aside)) ?? null;
      // First whether it helps at all, which is cheap; then where it could go instead; and at last whether everything else still passes in its turn.
      const fits = model.passes(server, host.id);
      const elsewhere = fits ? model.decide(aside, { seed: options.seed, limit: 4 }).chosen.filter((one) => one.host.id !== host.id) : [];
      back();
      for (const candidate of elsewhere) {
        const rest = step === null ? steps : steps.filter((one) => one !== step);
        const trial: readonly Step[] = [
          ...rest,
          {
            server: aside,
            to: candidate.host.id,
            makesRoom: step === null ? true : step.makesRoom,
            why: [`makes room for ${server.demand.server.name} on ${host.name}`],
          },
          { server, to: host.id, makesRoom: false, why: [`${aside.demand.server.name} makes room for it`] },
        ];
        replays += trial.length;
        if (replay(snapshot, trial)) return trial;
      }
    }
  spend();
  return null;
}

/** Whether each of these moves passes in its turn. */
function replay(snapshot: Snapshot, steps: readonly Step[]): boolean {
  const model = new CloudModel(snapshot);
  return steps.every(({ server, to }) => {
    if (!model.passes(server, to)) return false;
    model.move(server, to);
    return true;
  });
}

/** Depth first through every state (who has moved where) that legal moves lead to, each once. The best found is kept: the most named servers moved. */
function everyOrder(snapshot: Snapshot, named: readonly PlannedServer[], options: FindOptions) {
  const model = new CloudModel(snapshot);
  const namedIds = new Set(named.map(idOf));
  const everybody = [...named, ...options.others.filter((other) => !namedIds.has(idOf(other)))];
  const at = new Map<ServerId, HostId>();
  const steps: Step[] = [];
  const seen = new Set<string>();
  let best: readonly Step[] = [];
  let [exhausted, finished] = [true, false];
  const key = (): string => everybody.map((server) => at.get(idOf(server)) ?? '').join('|');
  const visit = (): void => {
    seen.add(key());
    if (namedIn(steps) > namedIn(best) || (namedIn(steps) === namedIn(best) && steps.length < best.length)) best = [...steps];
    if (namedIn(steps) === named.length) {
      finished = true;
      return;
    }
    for (const server of everybody) {
      if (at.has(idOf(server))) continue;
      if (model.checks > options.searchChecks) {
        exhausted = false;
        return;
      }
      const makesRoom = !namedIds.has(idOf(server));
      for (const candidate of model.decide(server, { seed: options.seed, limit: Number.POSITIVE_INFINITY }).chosen) {
        at.set(idOf(server), candidate.host.id);
        if (!seen.has(key())) {
          const undo: Undo = model.move(server, candidate.host.id);
          steps.push({ server, to: candidate.host.id, makesRoom, why: explainRank(candidate, server.demand) });
          visit();
          steps.pop();
          undo();
        }
        at.delete(idOf(server));
        if (finished || !exhausted) return;
      }
    }
  };
  // Beyond this depth the search could not end within any bound; and every level is a call.
  if (everybody.length <= 200) visit();
  else exhausted = false;
  return { steps: best, exhausted, states: seen.size };
}
