import type { Candidate, Decision } from './decide.ts';
import { explainRank, explainRejection } from './explain.ts';
import type { Rejection, RejectionData } from './filter.ts';
import type { Load } from './load.ts';
import type { FilterName, RejectionCode } from './rejection-codes.ts';
import type { ServerDemand } from './server-demand.ts';

/** What is kept of a decision with its migration or instance action: JSON, a few hundred bytes to some tens of kB whatever the size of the cloud. */
export type StoredVerdicts = {
  readonly hosts: number;
  readonly passing: number;
  /** The first of `ranked` was taken unless its claim failed; see the record for the host that it became. */
  readonly ranked: readonly StoredCandidate[];
  readonly rejected: readonly StoredRejection[];
  /** Whether the server stays in its zone, in one sentence. Absent in records of decisions made before it was kept. */
  readonly zoneRule?: string;
};

export type StoredCandidate = {
  readonly hostId: string;
  readonly host: string;
  readonly rank: number;
  readonly why: readonly string[];
  readonly loadBefore: Load;
  readonly loadAfter: Load;
};

/** The hosts that one filter turned away for one reason. A host stands under every reason that it has. */
export type StoredRejection = {
  readonly filter: FilterName;
  readonly code: RejectionCode;
  /** How many hosts in all; `examples` names at most `namedHosts` of them. */
  readonly count: number;
  readonly examples: readonly {
    readonly hosts: readonly string[];
    readonly sentence: string;
    readonly smallestChange: string | null;
    readonly data: RejectionData;
  }[];
};

/** Up to here every host is named with its data: clouds of this size read complete. */
const namedHosts = 256;

/** The decision grouped by reason: hosts whose reason has the same data share one entry. */
export function storedVerdicts(decision: Decision): StoredVerdicts {
  type Entry = { readonly rejection: Rejection; readonly hosts: string[] };
  type Group = {
    readonly rejection: Rejection;
    count: number;
    readonly byObject: Map<Rejection, Entry>;
    readonly byData: Map<string, Entry>;
    readonly entries: Entry[];
  };
  const groups = new Map<RejectionCode, Group>();
  for (const [index, host] of decision.hosts.entries()) {
    for (const rejection of decision.rejectionsOf(index)) {
      let group = groups.get(rejection.code);
      if (group === undefined)
        groups.set(rejection.code, (group = { rejection, count: 0, byObject: new Map(), byData: new Map(), entries: [] }));
      group.count += 1;
      if (group.count > namedHosts) continue;
      let entry = group.byObject.get(rejection);
      if (entry === undefined) {
        const key = JSON.stringify(rejection.data);
        entry = group.byData.get(key);
        if (entry === undefined) {
          entry = { rejection, hosts: [] };
          group.byData.set(key, entry);
          group.entries.push(entry);
        }
        group.byObject.set(rejection, entry);
      }
      entry.hosts.push(host.name);
    }
  }
  return {
    hosts: decision.hosts.length,
    passing: decision.passing,
    ranked: decision.chosen.map((candidate) => storedCandidate(candidate, decision)),
    rejected: [...groups.values()]
      .map(({ rejection, count, entries }) => ({
        filter: rejection.filter,
        code: rejection.code,
        count,
        examples: entries
          .map((entry) => {
            const { sentence, smallestChange } = explainRejection(entry.rejection, decision.demand);
            return { hosts: entry.hosts.toSorted(), sentence, smallestChange, data: entry.rejection.data };
          })
          .toSorted((a, b) => ((a.hosts[0] ?? '') < (b.hosts[0] ?? '') ? -1 : 1)),
      }))
      .toSorted((a, b) => b.count - a.count || (a.code < b.code ? -1 : 1)),
    zoneRule: zoneRule(decision.demand),
  };
}

function zoneRule({ kind, requestedZone }: ServerDemand): string {
  if (kind === 'create') return requestedZone === null ? 'No zone was asked for.' : `Zone ${requestedZone} was asked for.`;
  return requestedZone === null
    ? 'It was created without a zone and may cross zones.'
    : `It was created in zone ${requestedZone} and stays in it.`;
}

function storedCandidate(candidate: Candidate, { demand }: Decision): StoredCandidate {
  return {
    hostId: candidate.host.id,
    host: candidate.host.name,
    rank: candidate.rank,
    why: explainRank(candidate, demand),
    loadBefore: candidate.loadBefore,
    loadAfter: candidate.loadAfter,
  };
}
