import type { HostFacts } from '../host.ts';
import type { HostId } from '../ids.ts';

/** Amounts that the ledger counts; also capacities and usages. Memory in MiB, disk in GiB. */
export type Resources = { readonly vcpus: number; readonly ramMib: number; readonly diskGib: number };

/** How far each resource may be promised beyond what the host has; 1 means not at all. */
export type AllocationRatios = { readonly [Resource in keyof Resources]: number };

/** Nova's defaults at first start (`initial_cpu_allocation_ratio` …), so that numbers read as operators expect. */
export const defaultRatios: AllocationRatios = { vcpus: 4, ramMib: 1, diskGib: 1 };

export type HostAggregate = { readonly id: number; readonly name: string; readonly metadata: Readonly<Record<string, string>> };

/** The zone of a host that is in no aggregate with a zone, as in Nova (`default_availability_zone`). */
export const defaultZone = 'nova';

/**
 * One host in the warm snapshot. Hosts that report equal facts should share one `facts` object: everything that depends
 * on facts alone is then computed once per distinct object and decision, not once per host.
 */
export type HostState = {
  readonly id: HostId;
  readonly name: string;
  readonly zone: string;
  readonly aggregates: readonly HostAggregate[];
  readonly facts: HostFacts;
  readonly enabled: boolean;
  readonly disabledReason: string | null;
  readonly forcedDown: boolean;
  readonly reachable: boolean;
  /** Fenced by an operator, and not compared since; takes nothing. Absent: it is not. */
  readonly fenced?: boolean;
  /** Sum over the ledger's rows of this host; claims of moves in both directions included. */
  readonly usage: Resources;
  readonly ratios: AllocationRatios;
  /** Moves into this host that are under way; those that only wait for their confirmation are not. */
  readonly incomingMigrations: number;
};

/** What a host has before over-commit. Disk is what all its pools hold, shared ones included, as Nova counts it. */
export function physicalResources(facts: HostFacts): Resources {
  let bytes = 0;
  for (const pool of facts.pools) bytes += pool.totalBytes;
  return { vcpus: facts.cores, ramMib: facts.ramMib, diskGib: Math.floor(bytes / 2 ** 30) };
}
