import type { ProcessReport } from './supervised-process.ts';

/** One request a line on <dir>/lab.sock, one reply a line back. Targets are names from the plan. */
export type SupervisorRequest =
  | { readonly op: 'status' }
  /** start, stop (SIGTERM), restart (stop, then start), kill (SIGKILL; the supervisor then restarts it), freeze, thaw: one process. */
  | { readonly op: 'start' | 'stop' | 'restart' | 'kill' | 'freeze' | 'thaw'; readonly process: string }
  /**
   * The host loses its power: every process of its namespace, guests included, is killed at the same moment as far as
   * anyone can tell, its journals lose what was not synced, its bridges and taps are gone, and its boot id is another.
   * Without `stayOff` its agent starts again.
   */
  | { readonly op: 'power-loss'; readonly host: string; readonly stayOff?: boolean }
  | { readonly op: 'power-on'; readonly host: string }
  /** Stops or continues every process of the host, guests included: a host that hangs. */
  | { readonly op: 'freeze-host' | 'thaw-host'; readonly host: string }
  /** Pulls or plugs one of the host's cables at the fabric's end. */
  | { readonly op: 'cable'; readonly host: string; readonly cable: 'management' | 'fabric'; readonly state: 'up' | 'down' }
  /** Sets the agent's clock wrong by so much, and starts it again. */
  | { readonly op: 'clock-skew'; readonly process: string; readonly skewMs: number }
  /** Ends everything the supervisor started, then the supervisor. Guests are the caller's to clear (by namespace). */
  | { readonly op: 'shutdown' };

export interface SupervisorStatus {
  readonly labId: string;
  readonly pid: number;
  readonly processes: readonly ProcessReport[];
}

export type SupervisorReply =
  | { readonly ok: true; readonly status: SupervisorStatus }
  | { readonly ok: false; readonly code: string; readonly message: string };
