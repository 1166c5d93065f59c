import type { HostFacts } from '../host.ts';
import type { HostState } from './host-state.ts';
import type { FilterName, RejectionCode } from './rejection-codes.ts';
import type { ServerDemand } from './server-demand.ts';

export type RejectionData = Readonly<Record<string, string | number | readonly string[]>>;

/** Why a host does not pass a filter: plain data, turned into sentences only where someone reads it. */
export type Rejection<Data extends RejectionData = RejectionData> = {
  readonly filter: FilterName;
  readonly code: RejectionCode;
  readonly data: Data;
};

/** The rejection in words. `smallestChange` is the least that would make this filter pass, or null when nothing would. */
export type RejectionText = { readonly sentence: string; readonly smallestChange: string | null };

/** Judges one host for the prepared demand; null means pass. */
export type HostCheck = (host: HostState) => Rejection | null;

export type Filter = {
  readonly name: FilterName;
  /** Looks at the demand once per decision. Null: this demand asks nothing of this filter, every host passes. */
  readonly prepare: (demand: ServerDemand) => HostCheck | null;
  readonly describe: (rejection: Rejection, demand: ServerDemand) => RejectionText;
};

/**
 * A check of one part of the facts (an array such as the CPU features), computed once per distinct object: hosts whose
 * facts went through one `factsInterner` share equal parts, so that among 10,000 hosts of a few models it runs a few times.
 */
export function oncePer<Part extends object>(
  part: (facts: HostFacts) => Part,
  check: (part: Part, facts: HostFacts) => Rejection | null,
): HostCheck {
  const seen = new Map<Part, Rejection | null>();
  let lastPart: Part | null = null;
  let lastVerdict: Rejection | null = null;
  return ({ facts }) => {
    const key = part(facts);
    if (key === lastPart) return lastVerdict;
    let verdict = seen.get(key);
    if (verdict === undefined) seen.set(key, (verdict = check(key, facts)));
    lastPart = key;
    lastVerdict = verdict;
    return verdict;
  };
}

/** A string out of a rejection's data; the empty string when it is not there. */
export const text = (rejection: Rejection, key: string): string => {
  const value = rejection.data[key];
  return typeof value === 'object' ? value.join(', ') : String(value ?? '');
};
/** A number out of a rejection's data; NaN when it is not there. */
export const amount = (rejection: Rejection, key: string): number => Number(rejection.data[key]);
