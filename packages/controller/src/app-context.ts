import type { Logger } from 'pino';
import type { Agents } from './agents/agents.ts';
import type { ResolvedConfig } from './config/load-config.ts';
import type { EventFeed } from './events/event-feed.ts';
import type { Metrics } from './metrics.ts';
import type { Database, Db } from './store/database.ts';
import type { FleetOperations } from './workflows/fleet/fleet-operations.ts';
import type { ServerOperations } from './workflows/operations.ts';

/** What every route plugin gets: the parts of a running controller. */
export type AppContext = {
  readonly config: ResolvedConfig;
  readonly database: Database;
  readonly db: Db;
  readonly operations: ServerOperations;
  readonly fleet: FleetOperations;
  readonly agents: Agents;
  readonly events: EventFeed;
  readonly metrics: Metrics;
  readonly log: Logger;
};
