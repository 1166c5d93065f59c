import type { Logger } from 'pino';
import type { Agents } from '../agents/agents.ts';
import type { ResolvedConfig } from '../config/load-config.ts';
import type { Metrics } from '../metrics.ts';
import type { WarmSnapshot } from '../scheduling/warm-snapshot.ts';
import type { Db } from '../store/database.ts';
import type { WrittenEnd } from './count-ends.ts';
import type { Workflows } from './port.ts';

/** What every workflow works with. */
export type WorkflowContext = {
  readonly db: Db;
  readonly agents: Agents;
  readonly config: Pick<ResolvedConfig, 'limits' | 'cpuAllocationRatio' | 'ramAllocationRatio' | 'diskAllocationRatio'> &
    Partial<Pick<ResolvedConfig, 'networkSwitch' | 'imageDir'>>;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** What decisions are made on; without one every decision reads every host. */
  readonly hosts?: WarmSnapshot;
  readonly workflows: Workflows;
  /** A migration's end that this run has written; it is counted when the run is over, if it was committed. Only runs end migrations. */
  readonly wroteEnd: (end: WrittenEnd) => void;
  /** For how long a host that does not answer is asked to change a guest's interfaces; tests shorten it. */
  readonly interfacePatienceMs: number;
  /** Fault points: called by name between steps; a test makes it throw. Production's does nothing. */
  readonly faultPoint: (name: string) => Promise<void> | void;
};
