import { randomUUID } from 'node:crypto';
import { setTimeout as delay } from 'node:timers/promises';
import { asFence } from '@godwit/domain/ids';
import { currentScope, withinScope } from '@godwit/telemetry/request-scope';
import { traced } from '@godwit/telemetry/tracing';
import { sql } from 'kysely';
import type pg from 'pg';
import type { Logger } from 'pino';
import type { Database, Db } from '../store/database.ts';
import { type Notice, tellAfterCommit } from '../store/notices.ts';
import { later } from '../store/sparing-pool.ts';
import { Fenced, type NewWorkflow, Stopped, type WorkflowHandler, type WorkflowKind, type WorkflowRun, type Workflows } from './port.ts';
import { createWakeups } from './wakeups.ts';

const WORK_CHANNEL = 'godwit_workflow';
const WAKE_CHANNEL = 'godwit_wake';
/** Kept by hand, not a build's hash: runs of an older version are continued by this one, because the row says where they are. 2: knows VLANs. */
export const APPLICATION_VERSION = '2';

export type ExecutorOptions = {
  /** Survives restarts: what an earlier process of this name left is taken over at once. */
  readonly name: string;
  readonly handlers: Readonly<Record<WorkflowKind, WorkflowHandler>>;
  readonly log: Logger;
  /** Default 1000. */
  readonly heartbeatMs?: number;
  /** An executor without a heartbeat for this long is dead; default 5000. Being wrong is harmless: fences keep the living one out. */
  readonly deadAfterMs?: number;
  /**
   * Awaited after every connection to the database that is for listening (the first, and each that replaces a lost one; nothing is claimed before it), and before each heartbeat. Says which
   * database it is: in another one than before, rows may name us that nobody runs.
   */
  readonly lookAtDatabase?: () => Promise<string>;
  /** Runs at the same time in this process; default 200. */
  readonly concurrency?: number;
};

const RETRY_FIRST_MS = 500;
const RETRY_MAX_MS = 60_000;
const STOP_GRACE_MS = 3_000;
const PRUNE_EVERY_MS = 3_600_000;

/** Workflows on the table `workflow`: claimed by a conditional update that takes a fence, woken by NOTIFY, taken over when an executor's heartbeat stops. */
export function createWorkflows(
  database: Database,
  options: ExecutorOptions,
): Workflows & { readonly executorId: string; readonly idle: (kind?: WorkflowKind) => boolean } {
  const { db } = database;
  const { log } = options;
  const executorId = `${options.name}:${randomUUID()}`;
  const heartbeatMs = options.heartbeatMs ?? 1_000;
  const deadAfterMs = options.deadAfterMs ?? 5_000;
  const wakeups = createWakeups();
  const running = new Map<string, { readonly run: WorkflowRun; readonly abort: AbortController; readonly done: Promise<void> }>();
  const stopping = new AbortController();
  let listener: pg.Client | null = null;
  let beat: Promise<void> = Promise.resolve();
  let claiming: Promise<void> | null = null;
  let claimAgain = false;
  /** The last claim may have left something for want of room. */
  let left = false;
  /** The database was away when we took a workflow or said how a run ended: rows may name us that nobody runs. */
  let unsettled = false;
  /** Of this process, also when its row was taken away meanwhile: begun anew it would be the later one of its name, and take back what its successor has. */
  let startedAt: string | null = null;

  /** What names us and does not run here is free again. Called within a claim alone: between a claim's answer and its runs nothing would tell them apart. */
  const handBack = async (): Promise<void> => {
    if (!unsettled) return;
    unsettled = false;
    const ids = [...running.keys()];
    await sql`update workflow set executor_id = null, not_before = now() where executor_id = ${executorId} and finished_at is null and not id = any(${ids}::uuid[])`.execute(
      db,
    );
  };

  /** Takes what nobody has; an earlier process of a name that has a later one takes nothing. */
  const claim = async (): Promise<void> => {
    await handBack();
    const room = (options.concurrency ?? 200) - running.size;
    left = room <= 0;
    if (room <= 0 || stopping.signal.aborted) return;
    const { rows } = await sql<ClaimedRow>`
      with picked as (
        select id from workflow where finished_at is null and executor_id is null and not_before <= now()
        and not exists (select from executor where name = ${options.name} and id <> ${executorId} and started_at > ${startedAt}::timestamptz)
        order by created_at limit ${room} for update skip locked
      )
      update workflow w set executor_id = ${executorId}, fence = nextval('fence_sequence'), attempts = attempts + 1
      from picked where w.id = picked.id
      returning w.id, w.kind, w.subject_id, w.input, w.fence, w.attempts, w.created_at, w.request_id, w.traceparent`.execute(db);
    left = rows.length >= room;
    for (const row of rows) start(row);
  };

  /** One claim at a time; a call during one makes it look once more. */
  const look = (): void => {
    if (claiming !== null) {
      claimAgain = true;
      return;
    }
    claiming = (async () => {
      do {
        claimAgain = false;
        await claim();
      } while (claimAgain);
    })()
      .catch((error: unknown) => {
        // It may have been done, and its answer lost.
        unsettled = true;
        log.warn({ err: error }, 'workflows could not be claimed; trying again');
      })
      .finally(() => {
        claiming = null;
      });
  };

  const start = (row: ClaimedRow): void => {
    const abort = new AbortController();
    const signal = AbortSignal.any([abort.signal, stopping.signal]);
    const run: WorkflowRun = {
      id: row.id,
      kind: row.kind,
      subjectId: row.subject_id,
      input: row.input,
      fence: asFence(row.fence),
      remember: async (input) => {
        const { numUpdatedRows } = await db
          .updateTable('workflow')
          .set({ input: JSON.stringify(input) })
          .where('id', '=', row.id)
          .where('fence', '=', row.fence)
          .executeTakeFirst();
        if (numUpdatedRows !== 1n) throw new Fenced(`workflow ${row.id}`);
      },
      createdAt: row.created_at,
      attempt: row.attempts - 1,
      signal,
      pause: async (timeoutMs) => {
        const timer = AbortSignal.timeout(timeoutMs);
        await wakeups.wait(row.subject_id, row.id, AbortSignal.any([signal, timer]));
      },
      woken: (stop) => wakeups.wait(row.subject_id, row.id, AbortSignal.any([signal, stop])),
    };
    wakeups.know(row.subject_id, row.id);
    const scope = row.request_id === null ? null : { requestId: row.request_id, traceparent: row.traceparent };
    const done = (scope === null ? execute(run) : withinScope(scope, () => execute(run))).finally(() => {
      running.delete(row.id);
      wakeups.forget(row.subject_id, row.id);
      // What there was no room for; everything else is told of when it comes, and looked for with every heartbeat.
      if (!stopping.signal.aborted && left) look();
    });
    running.set(row.id, { run, abort, done });
  };

  const execute = async (run: WorkflowRun): Promise<void> => {
    const mine = (query: { readonly finished?: boolean; readonly error?: string; readonly delayMs?: number }) =>
      sql`update workflow set
            executor_id = case when ${query.finished === true} then executor_id else null end,
            finished_at = case when ${query.finished === true} then now() end,
            not_before = now() + ${query.delayMs ?? 0} * interval '1 millisecond',
            last_error = ${query.error ?? null}
          where id = ${run.id} and fence = ${run.fence}`.execute(db);
    try {
      const attributes = { subject: run.subjectId, fence: run.fence, attempt: run.attempt };
      await traced(`workflow ${run.kind}`, attributes, () => options.handlers[run.kind](run), isHandover);
      await mine({ finished: true });
    } catch (error) {
      try {
        if (error instanceof Fenced)
          log.info({ workflow: run.id, kind: run.kind, subject: run.subjectId, fence: run.fence }, error.message);
        if (isHandover(error)) {
          // Handed back: whoever is in charge continues, or finds that nothing is left to do.
          await mine({ delayMs: error instanceof Fenced ? RETRY_FIRST_MS : 0 });
          return;
        }
        const delayMs = Math.min(RETRY_MAX_MS, RETRY_FIRST_MS * 2 ** Math.min(run.attempt, 10));
        log.error(
          { err: error, workflow: run.id, kind: run.kind, subject: run.subjectId, delayMs },
          'a workflow failed and will be run again',
        );
        await mine({ error: error instanceof Error ? (error.stack ?? error.message) : String(error), delayMs });
      } catch (inner) {
        // The database is away, perhaps for so short a time that nobody misses our heartbeat: we hand the row back ourselves.
        unsettled = true;
        log.error({ err: inner, workflow: run.id }, 'the end of a workflow run was not recorded');
      }
    }
  };

  /** Executors without a heartbeat are removed and what they had is free again. Any number of controllers may do this at once. */
  const takeOver = async (): Promise<void> => {
    // One statement: an executor that comes back to life between two would keep what it had, and be taken for dead again and again.
    const { rows } = await sql<{ id: string }>`
      with dead as (
        delete from executor where (heartbeat_at < now() - ${deadAfterMs} * interval '1 millisecond' or (name = ${options.name} and id <> ${executorId} and started_at < (select started_at from executor where id = ${executorId})))
        and id <> ${executorId} returning id
      ), freed as (
        update workflow set executor_id = null, not_before = now() where finished_at is null and executor_id is not null
        and (executor_id in (select id from dead) or executor_id not in (select id from executor))
      )
      select id from dead`.execute(db);
    for (const { id } of rows) log.warn({ executor: id }, 'an executor is gone; its workflows are taken over');
  };

  const heartbeat = async (): Promise<void> => {
    const { rows } = await sql<{ started: string }>`
      insert into executor (id, name, application_version, started_at)
      values (${executorId}, ${options.name}, ${APPLICATION_VERSION}, coalesce(${startedAt}::timestamptz, now()))
      on conflict (id) do update set heartbeat_at = now() returning started_at::text as started`.execute(db);
    startedAt = rows[0]?.started ?? startedAt;
    await takeOver();
    // What another executor took from us meanwhile (we were frozen) must not go on here.
    if (running.size > 0) {
      const ids = [...running.keys()];
      const still = await db.selectFrom('workflow').select('id').where('id', 'in', ids).where('executor_id', '=', executorId).execute();
      const kept = new Set(still.map((row) => row.id));
      for (const id of ids) if (!kept.has(id)) running.get(id)?.abort.abort();
    }
    look();
  };

  let knownDatabase: string | undefined;
  const lookAtDatabase = async (): Promise<void> => {
    const which = await options.lookAtDatabase?.();
    if (which !== knownDatabase) unsettled = true;
    knownDatabase = which;
  };

  const beatOn = async (): Promise<void> => {
    while (!stopping.signal.aborted) {
      await delay(heartbeatMs, undefined, { signal: stopping.signal }).catch(() => {});
      if (stopping.signal.aborted) return;
      try {
        if (listener === null) await listen();
        // Put back under a controller that runs on, it closes no connection.
        else await lookAtDatabase();
        await heartbeat();
      } catch (error) {
        log.warn({ err: error }, 'the heartbeat of this executor did not reach the database');
      }
    }
  };

  /** What is finished is of no further use: the subject's row says what came of it. */
  const prune = setInterval(() => {
    sql`delete from workflow where finished_at < now() - interval '7 days'`
      .execute(db)
      .catch((error: unknown) => log.warn({ err: error }, 'finished workflows were not pruned'));
  }, PRUNE_EVERY_MS);
  prune.unref();

  const hear = ({ channel, payload }: Notice): void => {
    if (channel === WORK_CHANNEL) look();
    else if (channel === WAKE_CHANNEL) wakeups.wake(payload);
  };
  let stopHearing = (): void => {};

  const listen = async (): Promise<void> => {
    const client = await database.connect('workflows');
    client.on('notification', ({ channel, payload, processId }) => {
      if (!database.notices.isOwn(processId)) hear({ channel, payload: payload ?? '' });
    });
    client.once('end', () => {
      if (listener === client) listener = null;
    });
    try {
      await lookAtDatabase();
      unsettled = true;
      await client.query(`listen ${WORK_CHANNEL}; listen ${WAKE_CHANNEL}`);
    } catch (error) {
      await client.end().catch(() => {});
      throw error;
    }
    listener = client;
  };

  return {
    executorId,
    idle: (kind) => [...running.values()].every(({ run }) => kind !== undefined && run.kind !== kind),
    enqueue,
    wakeHere: (subjectId: string) => {
      let found = false;
      for (const { run } of running.values()) {
        if (run.subjectId !== subjectId && run.input['serverId'] !== subjectId) continue;
        wakeups.wake(run.subjectId);
        found = true;
      }
      return found;
    },
    wake: async (tx: Db, subjectId: string) => {
      await tellAfterCommit(tx, WAKE_CHANNEL, subjectId);
    },
    start: async () => {
      stopHearing = database.notices.onOwn(hear);
      await listen();
      await heartbeat();
      beat = beatOn();
    },
    stop: async () => {
      stopping.abort();
      stopHearing();
      clearInterval(prune);
      await beat;
      await claiming;
      await Promise.race([Promise.all([...running.values()].map((one) => one.done)), delay(STOP_GRACE_MS, undefined, { ref: false })]);
      await sql`delete from executor where id = ${executorId}`.execute(db).catch(() => {});
      await listener?.end().catch(() => {});
    },
  };
}

type ClaimedRow = {
  id: string;
  kind: WorkflowKind;
  subject_id: string;
  input: Record<string, unknown>;
  fence: number;
  attempts: number;
  created_at: Date;
  request_id: string | null;
  traceparent: string | null;
};

/** No failure: another executor goes on. */
const isHandover = (error: unknown): boolean => error instanceof Fenced || error instanceof Stopped;

/** See Workflows: for those who have no executor of their own, too. */
export async function enqueue(tx: Db, workflow: NewWorkflow): Promise<void> {
  const scope = currentScope();
  await sql`${later}insert into workflow (kind, subject_id, input, request_id, traceparent)
    values (${workflow.kind}, ${workflow.subjectId}, ${JSON.stringify(workflow.input ?? {})}, ${scope?.requestId ?? null}, ${scope?.traceparent ?? null})`.execute(
    tx,
  );
  await tellAfterCommit(tx, WORK_CHANNEL, '');
}
