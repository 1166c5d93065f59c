import type { HostId } from '@godwit/domain/ids';
import { factsInterner } from '@godwit/domain/scheduling/facts-interner';
import type { HostAggregate, HostState } from '@godwit/domain/scheduling/host-state';
import { type Snapshot, snapshotOf } from '@godwit/domain/scheduling/snapshot';
import { sql } from 'kysely';
import type { Db } from '../store/database.ts';
import { loadHosts, type Ratios } from '../workflows/scheduling/load-hosts.ts';
import { hostChangesKeptMs } from './prune-host-changes.ts';

export type WarmSnapshot = {
  /**
   * Every host as it is in the database now, as far as `db` can see. Inside a transaction give that transaction: no second connection is taken while it holds locks.
   * What it shows may be overtaken the moment it returns: whoever claims looks again at the chosen host under its lock.
   */
  readonly current: (db: Db) => Promise<Snapshot>;
};

/** Above this share of changed hosts one full load is cheaper than many single ones. */
const fullLoadShare = 0.5;
/** Ids per load: bounds the query's parameters. */
const batch = 1_000;

/**
 * Keeps the scheduler's view of all hosts in memory and reloads only hosts that changed since the last look (table host_change), so that a decision over ten thousand hosts does not
 * read ten thousand rows. Hosts share the parts of their facts and the aggregates that are equal.
 */
export function createWarmSnapshot(ratios: Ratios, now: () => number = Date.now): WarmSnapshot {
  const intern = factsInterner();
  const aggregateLists = new Map<string, readonly HostAggregate[]>();
  const hosts = new Map<HostId, HostState>();
  let snapshot: Snapshot = snapshotOf([]);
  /** Everything committed by transactions below this is in. Null: nothing is loaded. */
  let cursor: string | null = null;
  /** Changed by transactions that may still roll back, perhaps the reader's own: looked at again next time. */
  let uncertain = new Set<HostId>();
  let lookedAtMs = 0;
  let last: Promise<unknown> = Promise.resolve();

  const share = (host: HostState): HostState => {
    const key = JSON.stringify(host.aggregates);
    const aggregates = aggregateLists.get(key) ?? host.aggregates;
    aggregateLists.set(key, aggregates);
    return { ...host, aggregates, facts: intern(host.facts) };
  };

  const refresh = async (db: Db): Promise<Snapshot> => {
    if (cursor !== null && now() - lookedAtMs > hostChangesKeptMs / 2) cursor = null;
    // Horizon and changes come from one statement, so from one view: what is not in it is not below the horizon.
    const {
      rows: [look],
    } = await sql<{ horizon: string; changed: { id: HostId; open: boolean }[] | null }>`
      select pg_snapshot_xmin(pg_current_snapshot())::text as horizon,
        (select json_agg(json_build_object('id', host_id, 'open', open)) from (
          select host_id, bool_or(xid >= pg_snapshot_xmin(pg_current_snapshot())) as open from host_change where xid >= coalesce(${cursor}::text::xid8, pg_snapshot_xmin(pg_current_snapshot())) group by host_id
        ) by_host) as changed`.execute(db);
    if (look === undefined) throw new Error('the changes of hosts could not be read');
    const changed = new Map([...uncertain].map((id) => [id, false]));
    for (const { id, open } of look.changed ?? []) changed.set(id, open);
    let structure = false;
    if (cursor === null || changed.size > fullLoadShare * hosts.size) {
      const all = await loadHosts(db, ratios);
      hosts.clear();
      for (const host of all) hosts.set(host.id, share(host));
      structure = true;
    } else {
      const ids = [...changed.keys()];
      for (let at = 0; at < ids.length; at += batch) {
        const asked = ids.slice(at, at + batch);
        const found = new Map((await loadHosts(db, ratios, asked)).map((host) => [host.id, host]));
        for (const id of asked) {
          const host = found.get(id);
          if (host === undefined) structure = hosts.delete(id) || structure;
          else {
            structure ||= !hosts.has(id);
            hosts.set(id, share(host));
          }
        }
      }
    }
    if (structure) snapshot = snapshotOf([...hosts.values()]);
    // The map keeps its order, so the hashes of the ids stay beside their hosts.
    else if (changed.size > 0) snapshot = { hosts: [...hosts.values()], idHashes: snapshot.idHashes };
    uncertain = new Set([...changed].filter(([, open]) => open).map(([id]) => id));
    cursor = look.horizon;
    lookedAtMs = now();
    return snapshot;
  };

  return {
    current: (db) => {
      // One look at a time: two that overlap could put an older state over a newer one.
      const mine = last
        .then(() => refresh(db))
        .catch((error: unknown) => {
          cursor = null;
          throw error;
        });
      last = mine.catch(() => {});
      return mine;
    },
  };
}
