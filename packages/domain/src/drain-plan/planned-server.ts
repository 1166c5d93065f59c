import type { ServerId } from '../ids.ts';
import type { HostState } from '../scheduling/host-state.ts';
import type { ServerDemand } from '../scheduling/server-demand.ts';
import type { MoveMethod } from './fleet-operation.ts';

/**
 * A server that is to leave its host, or may. `demand` is what the scheduler is asked for it: `currentHost` is where it is, `requestedHost` the one host that it may go to
 * (pinned, or the operation's only destination) or null.
 */
export type PlannedServer = {
  readonly demand: ServerDemand & { readonly currentHost: NonNullable<ServerDemand['currentHost']> };
  readonly method: MoveMethod;
  /** What crosses the link: memory, and local disks. */
  readonly bytes: number;
};

/** One move of a plan. `makesRoom`: the server was not named, it moves so that a named one fits. */
export type PlannedMove = {
  readonly server: PlannedServer;
  readonly to: HostState;
  readonly makesRoom: boolean;
  readonly why: readonly string[];
};

export const idOf = (server: PlannedServer): ServerId => server.demand.server.id;
