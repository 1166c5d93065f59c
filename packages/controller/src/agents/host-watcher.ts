import { setTimeout as delay } from 'node:timers/promises';
import type { GuestReport } from '@godwit/contract/gen/guest_pb';
import type { MigrationReport } from '@godwit/contract/gen/migration_pb';
import type { HostFacts } from '@godwit/domain/host';
import { as, type HostId } from '@godwit/domain/ids';
import type { Logger } from 'pino';
import { recordEvent } from '../events/record-event.ts';
import type { Metrics } from '../metrics.ts';
import type { Db } from '../store/database.ts';
import type { Agents } from './agents.ts';
import { createAttention } from './attention.ts';
import { holdDuty, leaveDuty } from './duty.ts';
import { type Heartbeats, noteHeartbeats } from './heartbeats.ts';

/** What the hosts say, to whoever keeps the servers' rows true. */
export type HostListener = {
  /** The agent answers (again): everything that it has, and whether this is another boot than the last one known. */
  readonly onReport: (report: HostReport) => Promise<void>;
  readonly onGuest: (host: HostId, bootId: string, guest: GuestReport) => Promise<void>;
  readonly onMigration: (host: HostId, migration: MigrationReport) => Promise<void>;
};

export type HostReport = {
  readonly host: HostId;
  readonly bootId: string;
  readonly previousBootId: string | null;
  readonly guests: readonly GuestReport[];
  readonly migrations: readonly MigrationReport[];
};

export type HostWatcher = {
  /** Looks at a host at once: it has joined, moved or come back. */
  readonly changed: (host: HostId) => void;
  readonly stop: () => Promise<void>;
};

export type HostWatcherParts = {
  readonly db: Db;
  readonly agents: Agents;
  readonly metrics: Metrics;
  readonly log: Logger;
  readonly executorId: string;
  readonly listener: HostListener;
};

const DUTY = 'watch-hosts';
const LEASE_MS = 5_000;
const TICK_MS = 1_000;
/** Agents beat once a second; a host that has been silent for this long is shown as down. */
const SILENT_MS = 5_000;
const RECONNECT_MS = 500;
const CALL_MS = 5_000;
/** Facts (free disk, load) are read this often; a host's presence is by its heartbeats. */
const FACTS_EVERY_MS = 15_000;

/** Watches every host of the cloud while this controller has the duty; another one takes over within seconds when it dies or freezes. */
export function startHostWatcher(parts: HostWatcherParts): HostWatcher {
  const { db, log } = parts;
  const stopping = new AbortController();
  const watched = new Map<HostId, { readonly abort: AbortController; readonly done: Promise<void> }>();
  let wake: (() => void) | null = null;
  const beats = noteHeartbeats(db, log);
  const attention = createAttention(SILENT_MS);

  const release = (host: HostId): void => {
    watched.get(host)?.abort.abort();
    watched.delete(host);
  };
  const tick = async (): Promise<void> => {
    const ours = await holdDuty(db, DUTY, parts.executorId, LEASE_MS);
    if (!ours) {
      for (const host of [...watched.keys()]) release(host);
      attention.lose();
      return;
    }
    const lookedForMs = attention.look(performance.now());
    const rows = await db.selectFrom('host').select(['id', 'reachable']).where('deleted_at', 'is', null).execute();
    const present = new Set(rows.map((row) => as<HostId>(row.id)));
    for (const host of [...watched.keys()]) if (!present.has(host)) release(host);
    for (const host of present) {
      if (watched.has(host)) continue;
      const abort = new AbortController();
      watched.set(host, { abort, done: watchHost(parts, host, beats, abort.signal) });
    }
    parts.metrics.hostsReachable.set(rows.filter((row) => row.reachable).length);
    // Nobody looked while the duty was free, or while this process stood still: hosts are not to blame for that.
    if (lookedForMs < SILENT_MS) return;
    const silent = await db
      .updateTable('host')
      .set({ reachable: false, updated_at: new Date() })
      .where('deleted_at', 'is', null)
      .where('reachable', '=', true)
      .where('last_seen_at', '<', new Date(Date.now() - SILENT_MS))
      .returning(['id', 'name'])
      .execute();
    for (const { id, name } of silent) {
      log.warn({ host: id, name }, 'a host does not answer');
      await recordEvent(db, { kind: 'host', subjectId: id, projectId: null, data: { name, reachable: false } });
    }
  };
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      try {
        await tick();
      } catch (error) {
        log.warn({ err: error }, 'the hosts could not be looked after; trying again');
      }
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, TICK_MS);
        wake = () => {
          clearTimeout(timer);
          resolve();
        };
        if (stopping.signal.aborted) wake();
      });
    }
  })();
  return {
    changed: (host) => {
      // A new address needs a new connection; the loop begins it.
      release(host);
      wake?.();
    },
    stop: async () => {
      stopping.abort();
      wake?.();
      const ends = [...watched.values()].map((one) => one.done);
      for (const host of [...watched.keys()]) release(host);
      await loop;
      await Promise.all(ends);
      await beats.stop();
      await leaveDuty(db, DUTY, parts.executorId).catch(() => {});
    },
  };
}

/** One host until the signal aborts: a full report at each connection, then what happens, and a sign of life at each heartbeat. */
async function watchHost(parts: HostWatcherParts, host: HostId, beats: Heartbeats, signal: AbortSignal): Promise<void> {
  const { db, agents, listener, log } = parts;
  let failing = false;
  while (!signal.aborted) {
    // A stream that says nothing is not alive: the heartbeat comes once a second.
    const silence = new AbortController();
    let timer = setTimeout(() => silence.abort(), SILENT_MS);
    const alive = (): void => {
      clearTimeout(timer);
      timer = setTimeout(() => silence.abort(), SILENT_MS);
    };
    const until = AbortSignal.any([signal, silence.signal]);
    try {
      const client = await agents.client(host);
      const known = await bootOf(db, host);
      const present = await client.getHost({}, { timeoutMs: CALL_MS, signal: until });
      alive();
      if (present.bootId === '') throw new Error('the host does not say in which boot it is');
      const previousBootId = await seen(db, host, known, present.bootId, JSON.parse(present.factsJson) as HostFacts, !failing);
      const listed = await client.listGuests({}, { timeoutMs: CALL_MS, signal: until });
      await listener.onReport({ host, bootId: listed.bootId, previousBootId, guests: listed.guests, migrations: listed.migrations });
      failing = false;
      let factsAt = Date.now();
      for await (const event of client.watch({ afterSequence: 0n }, { signal: until })) {
        alive();
        switch (event.event.case) {
          case 'guest':
            await listener.onGuest(host, event.event.value.bootId, event.event.value);
            break;
          case 'migration':
            await listener.onMigration(host, event.event.value);
            break;
          case 'heartbeat':
            if (Date.now() - factsAt > FACTS_EVERY_MS) {
              factsAt = Date.now();
              const knownNow = await bootOf(db, host);
              const again = await client.getHost({}, { timeoutMs: CALL_MS, signal: until });
              await seen(db, host, knownNow, again.bootId, JSON.parse(again.factsJson) as HostFacts, false);
            } else beats.heard(host);
            break;
          default:
            break;
        }
      }
    } catch (error) {
      if (!signal.aborted && !failing) {
        failing = true;
        log.info({ host, err: error }, 'the connection to a host was lost; trying again');
      }
    } finally {
      clearTimeout(timer);
    }
    if (signal.aborted) return;
    agents.forget(host);
    await delay(RECONNECT_MS, undefined, { signal }).catch(() => {});
  }
}

async function bootOf(db: Db, host: HostId): Promise<string | null> {
  return (await db.selectFrom('host').select('boot_id').where('id', '=', host).executeTakeFirst())?.boot_id ?? null;
}

/**
 * Writes a sign of life; returns the boot id known before. `known`: what the row said before the host was asked. Throws when another controller has heard of another boot since: this answer
 * may be older than that, and the host is to be asked again.
 */
async function seen(db: Db, host: HostId, known: string | null, bootId: string, facts: HostFacts, tell: boolean): Promise<string | null> {
  return db.transaction().execute(async (tx) => {
    const before = await tx
      .selectFrom('host')
      .select(['name', 'boot_id', 'reachable'])
      .where('id', '=', host)
      .forNoKeyUpdate()
      .executeTakeFirst();
    if (before === undefined) return null;
    if (before.boot_id !== known && before.boot_id !== bootId) throw new Error('another controller has heard of another boot of this host');
    const now = new Date();
    await tx
      .updateTable('host')
      .set({ last_seen_at: now, reachable: true, boot_id: bootId, facts: JSON.stringify(facts), updated_at: now })
      .where('id', '=', host)
      .execute();
    if (tell && !before.reachable)
      await recordEvent(tx, { kind: 'host', subjectId: host, projectId: null, data: { name: before.name, reachable: true } });
    return before.boot_id;
  });
}
