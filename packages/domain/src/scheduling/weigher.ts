import type { HostState } from './host-state.ts';
import type { ServerDemand } from './server-demand.ts';

export type WeigherName = 'soft-group' | 'load' | 'incoming-migrations';

/**
 * Orders the hosts that pass. Weighers are lexicographic: a later one decides only between hosts that every earlier one
 * finds equal. Lower is better.
 */
export type Weigher = {
  readonly name: WeigherName;
  /** Null: this demand gives the weigher nothing to compare. */
  readonly prepare: (demand: ServerDemand) => ((host: HostState) => number) | null;
  readonly describe: (weight: number, demand: ServerDemand) => string;
};
