import type { Candidate, Decision } from './decide.ts';
import type { Rejection } from './filter.ts';
import { filterNamed } from './filters.ts';
import type { HostState } from './host-state.ts';
import { type Load, loadOf } from './load.ts';
import type { FilterName, RejectionCode } from './rejection-codes.ts';
import type { ServerDemand } from './server-demand.ts';
import { weighers } from './weighers.ts';

/** One reason in words, as the APIs show it. */
export type Reason = {
  readonly filter: FilterName;
  readonly code: RejectionCode;
  readonly sentence: string;
  readonly smallestChange: string | null;
};

export function explainRejection(rejection: Rejection, demand: ServerDemand): Reason {
  return { filter: rejection.filter, code: rejection.code, ...filterNamed(rejection.filter).describe(rejection, demand) };
}

/** Why a candidate stands where it does: one phrase per weigher, the most important first. */
export function explainRank(candidate: Candidate, demand: ServerDemand): readonly string[] {
  return candidate.weights.map(
    ({ weigher, weight }) => weighers.find((one) => one.name === weigher)?.describe(weight, demand) ?? `${weigher}: ${weight}`,
  );
}

export type ExplainedHost = {
  readonly host: HostState;
  readonly passes: boolean;
  /** Empty when it passes. */
  readonly reasons: readonly Reason[];
  /** 1 is the host that would be taken; null when it does not pass, or was not ranked (beyond the decision's limit). */
  readonly rank: number | null;
  readonly why: readonly string[];
  readonly loadBefore: Load;
  readonly loadAfter: Load;
};

/** The whole decision in words: candidates by rank, then the others by name. Decide with `limit: Infinity` to have every candidate ranked. */
export function explainDecision(decision: Decision): readonly ExplainedHost[] {
  const { demand } = decision;
  const ranked = new Map(decision.chosen.map((candidate) => [candidate.host.id, candidate]));
  const explained = decision.hosts.map((host, index): ExplainedHost => {
    const rejections = decision.rejectionsOf(index);
    const candidate = ranked.get(host.id);
    return {
      host,
      passes: rejections.length === 0,
      reasons: rejections.map((rejection) => explainRejection(rejection, demand)),
      rank: candidate?.rank ?? null,
      why: candidate === undefined ? [] : explainRank(candidate, demand),
      loadBefore: candidate?.loadBefore ?? loadOf(host),
      loadAfter: candidate?.loadAfter ?? loadOf(host, demand.flavor),
    };
  });
  const position = (one: ExplainedHost): number => one.rank ?? (one.passes ? 1e9 : 2e9);
  return explained.toSorted((a, b) => position(a) - position(b) || (a.host.name < b.host.name ? -1 : 1));
}
