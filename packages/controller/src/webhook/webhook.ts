import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import { holdDuty, leaveDuty } from '../agents/duty.ts';
import { ConfigError, type ResolvedConfig } from '../config/load-config.ts';
import type { Metrics } from '../metrics.ts';
import type { Db } from '../store/database.ts';
import { forgottenMoves } from '../stuck/forgotten.ts';
import { lateMigrations } from '../stuck/late-migrations.ts';
import { noticeBody } from './notice-body.ts';
import { signatureOf } from './signature.ts';

const DUTY = 'webhook';
const LEASE_MS = 30_000;
const TICK_MS = 1_000;
/** Whether a move is stuck is a matter of minutes. */
const LOOK_EVERY_MS = 15_000;
const ANSWER_MS = 10_000;
const AT_ONCE = 8;
const RETRY_FIRST_MS = 1_000;
const RETRY_MAX_MS = 900_000;
/** With the waits between them some four hours. */
const MOST_ATTEMPTS = 24;

export type WebhookParts = {
  readonly db: Db;
  readonly config: Pick<ResolvedConfig, 'publicUrl'> & { readonly webhook: NonNullable<ResolvedConfig['webhook']> };
  readonly executorId: string;
  readonly metrics: Metrics;
  readonly log: Logger;
  /** Tests shorten these. */
  readonly tickMs?: number;
  readonly lookEveryMs?: number;
  readonly retryFirstMs?: number;
  readonly mostAttempts?: number;
  readonly answerMs?: number;
};

/**
 * Tells the configured address of moves that failed or are stuck, and of forgotten Verify Resize: each at least once, signed, tried again with growing waits for some four hours. One controller at a time does it. Nothing
 * waits for it. Throws ConfigError when the secret cannot be read.
 */
export async function startWebhook(parts: WebhookParts): Promise<() => Promise<void>> {
  const { db, config, executorId, log } = parts;
  const secret = await secretOf(config.webhook.secretFile);
  const stopping = new AbortController();
  let lookAgainAt = 0;
  const tick = async (): Promise<void> => {
    if (!(await holdDuty(db, DUTY, executorId, LEASE_MS))) return;
    if (Date.now() >= lookAgainAt) {
      lookAgainAt = Date.now() + (parts.lookEveryMs ?? LOOK_EVERY_MS);
      await noteStuck(db);
    }
    await tellDue(parts, secret, stopping.signal);
  };
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await tick().catch((error: unknown) => log.warn({ err: error }, 'the webhook could not be looked after; trying again'));
      await delay(parts.tickMs ?? TICK_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  })();
  return async () => {
    stopping.abort();
    await loop;
    await leaveDuty(db, DUTY, executorId).catch(() => {});
  };
}

async function secretOf(file: string): Promise<string> {
  let secret: string;
  try {
    secret = (await readFile(file, 'utf8')).trim();
  } catch (error) {
    throw new ConfigError(`"webhook.secretFile": ${(error as Error).message}`, { key: 'webhook.secretFile', cause: error });
  }
  if (secret.length < 16) throw new ConfigError('"webhook.secretFile" must hold at least 16 characters', { key: 'webhook.secretFile' });
  return secret;
}

async function noteStuck(db: Db): Promise<void> {
  const [late, forgotten] = await Promise.all([lateMigrations(db), forgottenMoves(db)]);
  const notices = [
    ...late.map(({ subject }) => ({ kind: 'migration.stuck' as const, migration_id: subject.id })),
    ...forgotten.map(({ id }) => ({ kind: 'resize.forgotten' as const, migration_id: id })),
  ];
  if (notices.length === 0) return;
  await db
    .insertInto('webhook_notice')
    .values(notices)
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}

async function tellDue(parts: WebhookParts, secret: string, stop: AbortSignal): Promise<void> {
  const { db } = parts;
  for (;;) {
    const due = await db
      .selectFrom('webhook_notice')
      .selectAll()
      .where('delivered_at', 'is', null)
      .where('given_up_at', 'is', null)
      .where('next_at', '<=', sql<Date>`now()`)
      // What happened before anybody listened is not told days later.
      .where('at', '>', sql<Date>`now() - interval '1 day'`)
      .orderBy('next_at')
      .limit(AT_ONCE)
      .execute();
    if (due.length === 0 || stop.aborted) return;
    await Promise.all(due.map((notice) => tell(parts, secret, notice, stop)));
  }
}

type Notice = {
  readonly id: string;
  readonly kind: 'migration.failed' | 'migration.stuck' | 'resize.forgotten';
  readonly migration_id: string;
  readonly at: Date;
  readonly attempts: number;
};

async function tell(parts: WebhookParts, secret: string, notice: Notice, stop: AbortSignal): Promise<void> {
  const { db, config, metrics, log } = parts;
  const failure = await send(parts, secret, notice, stop).catch((error: unknown) =>
    error instanceof Error ? error.message : String(error),
  );
  if (stop.aborted && failure !== null) return;
  const attempts = notice.attempts + 1;
  if (failure === null) {
    await db
      .updateTable('webhook_notice')
      .set({ attempts, delivered_at: new Date(), last_error: null })
      .where('id', '=', notice.id)
      .execute();
    metrics.webhookNoticesTotal.inc({ kind: notice.kind, result: 'delivered' });
    return;
  }
  const over = attempts >= (parts.mostAttempts ?? MOST_ATTEMPTS);
  const waitMs = Math.min(RETRY_MAX_MS, (parts.retryFirstMs ?? RETRY_FIRST_MS) * 2 ** notice.attempts);
  await db
    .updateTable('webhook_notice')
    .set({
      attempts,
      last_error: failure,
      next_at: sql<Date>`now() + ${waitMs} * interval '1 millisecond'`,
      ...(over ? { given_up_at: new Date() } : {}),
    })
    .where('id', '=', notice.id)
    .execute();
  metrics.webhookNoticesTotal.inc({ kind: notice.kind, result: over ? 'given-up' : 'failed' });
  log[over ? 'error' : 'warn'](
    {
      notice: notice.id,
      kind: notice.kind,
      migration: notice.migration_id,
      attempts,
      reason: failure,
      url: new URL(config.webhook.url).origin,
    },
    over ? 'a notice was not taken and is given up' : 'a notice was not taken; it is sent again',
  );
}

/** Null: the receiver has it (or there is nothing left to tell); else why not. */
async function send(parts: WebhookParts, secret: string, notice: Notice, stop: AbortSignal): Promise<string | null> {
  const content = await noticeBody(parts.db, parts.config.publicUrl, notice);
  if (content === null) return null;
  const body = JSON.stringify(content);
  const answer = await fetch(parts.config.webhook.url, {
    method: 'POST',
    redirect: 'error',
    headers: {
      'content-type': 'application/json',
      'user-agent': 'godwit',
      'godwit-event': notice.kind,
      'godwit-delivery': notice.id,
      'godwit-signature': signatureOf(secret, body, Date.now()),
    },
    body,
    signal: AbortSignal.any([stop, AbortSignal.timeout(parts.answerMs ?? ANSWER_MS)]),
  });
  await answer.body?.cancel();
  return answer.ok ? null : `it answered ${answer.status}`;
}
