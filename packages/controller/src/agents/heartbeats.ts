import { as, type HostId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import type { Db } from '../store/database.ts';

/** The hosts' signs of life, written together. */
export type Heartbeats = {
  /** The host has just answered; its row says so within a second. */
  readonly heard: (host: HostId) => void;
  readonly stop: () => Promise<void>;
};

/** A fifth of the silence after which a host is shown as down. */
const WRITE_EVERY_MS = 500;

/** One statement for all hosts that were heard since the last one: a thousand hosts beat a thousand times a second, which would be as many transactions. */
export function noteHeartbeats(db: Db, log: Logger): Heartbeats {
  const heard = new Set<HostId>();
  let writing: Promise<void> = Promise.resolve();
  const write = async (): Promise<void> => {
    if (heard.size === 0) return;
    const hosts = [...heard];
    heard.clear();
    try {
      // A row that a decision has locked is left for the next time: who waits here while holding other hosts could be waited for in turn.
      const { rows } = await sql<{ id: string }>`
        with free as (select id from host where id = any(${hosts}::uuid[]) for no key update skip locked)
        update host set last_seen_at = now(), reachable = true from free where host.id = free.id returning host.id`.execute(db);
      const written = new Set(rows.map((row) => row.id));
      if (written.size < hosts.length) for (const host of hosts) if (!written.has(host)) heard.add(as<HostId>(host));
    } catch (error) {
      log.warn({ err: error }, 'signs of life of hosts were not written; trying again');
      for (const host of hosts) heard.add(host);
    }
  };
  const timer = setInterval(() => {
    writing = writing.then(write);
  }, WRITE_EVERY_MS);
  return {
    heard: (host) => heard.add(host),
    stop: async () => {
      clearInterval(timer);
      await writing;
    },
  };
}
