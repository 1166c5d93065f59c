import type { Fence } from '@godwit/domain/ids';
import type { Db } from '../store/database.ts';

/**
 * Durable workflows. A workflow is enqueued in the transaction that accepts the request; the subject's own row (server or migration) is the log of how far it has come,
 * so a run is a thin loop "read the row, observe, act, advance the row" and running it again is harmless.
 *
 * Why not DBOS behind this port, which the first design chose: the row being the log, its step checkpoints would be a second log of the same
 * saga; its executor is one per process, so two controllers (takeover, the frozen one waking) do not fit in one test; a workflow enqueued in our transaction starts at a queue's next poll, and
 * recovery of dead executors is our own code over an internal call either way. What is left of it is the table below.
 */
export type Workflows = {
  /** Inside the caller's transaction. Some executor starts it right after the commit. */
  readonly enqueue: (tx: Db, workflow: NewWorkflow) => Promise<void>;
  /** Inside the caller's transaction: runs of this subject look at their row again after the commit, whichever controller they are on. */
  readonly wake: (tx: Db, subjectId: string) => Promise<void>;
  /** Runs of this process whose subject or server this is look at their row again now, without a way through the database. False: there is none here. */
  readonly wakeHere: (id: string) => boolean;
  /** Registers this process as an executor and begins to run what is enqueued here, and what dead executors left. */
  readonly start: () => Promise<void>;
  /** Lets runs stop at their next step, hands back what they have not finished, and leaves the table of executors. */
  readonly stop: () => Promise<void>;
};

export type WorkflowKind =
  | 'create-server'
  | 'delete-server'
  | 'power-server'
  | 'rebuild-server'
  | 'snapshot-server'
  | 'shelve-server'
  | 'unshelve-server'
  | 'rescue-server'
  | 'change-interfaces'
  | 'scale-server'
  | 'live-migrate'
  | 'sync-guest-time'
  | 'cold-migrate'
  | 'settle-server'
  | 'fleet-operation'
  | 'evacuate-server';

export type NewWorkflow = { readonly kind: WorkflowKind; readonly subjectId: string; readonly input?: Readonly<Record<string, unknown>> };

/** One run: an executor working on a workflow under a fence of its own. */
export type WorkflowRun = {
  readonly id: string;
  readonly kind: WorkflowKind;
  readonly subjectId: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Higher than that of every run that began before. Every row write of the run is conditional on it, every mutating call carries it. */
  readonly fence: Fence;
  /** Replaces `input` for the runs after this one; throws Fenced when there is a newer run. */
  readonly remember: (input: Readonly<Record<string, unknown>>) => Promise<void>;
  /** When the request was accepted. */
  readonly createdAt: Date;
  /** How many runs of this workflow began before this one. */
  readonly attempt: number;
  /** Aborts when this process stops, or has heard that another executor took the workflow over. */
  readonly signal: AbortSignal;
  /** Resolves at the next wake of the subject, after `timeoutMs`, or when `signal` aborts. A wake since the last call counts. */
  readonly pause: (timeoutMs: number) => Promise<void>;
  /** Resolves at the next wake of the subject (a wake since the last pause counts), or when `stop` aborts. */
  readonly woken: (stop: AbortSignal) => Promise<void>;
};

/** Runs a workflow to its end; returns when nothing is left to do. Any throw but Fenced and Stopped is logged and run again later. */
export type WorkflowHandler = (run: WorkflowRun) => Promise<void>;

/** Another executor is in charge of the row now: this run must stop without another write or call. */
export class Fenced extends Error {
  constructor(what: string) {
    super(`another executor is in charge of ${what}`);
    this.name = 'Fenced';
  }
}

/** This process stops: the run ends at a step boundary and somebody continues it. */
export class Stopped extends Error {
  constructor() {
    super('this controller stops');
    this.name = 'Stopped';
  }
}

/** Throws Stopped when the run is to end. Called at each step boundary. */
export function checkpoint(run: Pick<WorkflowRun, 'signal'>): void {
  if (run.signal.aborted) throw new Stopped();
}
