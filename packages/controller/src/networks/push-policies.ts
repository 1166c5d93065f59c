import { as, type HostId } from '@godwit/domain/ids';
import type { NetworkPolicy } from '@godwit/domain/network-policy';
import { sql } from 'kysely';
import type { Logger } from 'pino';
import { holdDuty, leaveDuty } from '../agents/duty.ts';
import type { Db } from '../store/database.ts';
import { networkPolicy } from './network-policy.ts';

export type PolicyPusher = { readonly stop: () => Promise<void> };

export type PolicyPusherParts = {
  readonly db: Db;
  readonly log: Logger;
  readonly executorId: string;
  readonly send: (host: HostId, policy: NetworkPolicy) => Promise<void>;
  /** Between two looks for changes. */
  readonly everyMs?: number;
};

const DUTY = 'push-network-policies';
const LEASE_MS = 5_000;
const EVERY_MS = 500;
/** Every host is compared this often: it costs nothing when what it was sent last still holds. */
const COMPARE_ALL_MS = 60_000;

/**
 * Sends hosts what has changed for the ports of their guests, while this controller has the duty. A change is found within `everyMs`; a host that does not answer is asked again; after a
 * controller's death the next one sends everything once.
 */
export function startPushingPolicies(parts: PolicyPusherParts): PolicyPusher {
  const { db, log } = parts;
  const stopping = new AbortController();
  const sent = new Map<HostId, string>();
  let pending = new Set<HostId>();
  let ours = false;
  let heldUntil = 0;
  let comparedAt = Number.NEGATIVE_INFINITY;
  const tick = async (): Promise<void> => {
    const now = performance.now();
    if (!ours || now > heldUntil) {
      const before = ours;
      ours = await holdDuty(db, DUTY, parts.executorId, LEASE_MS);
      heldUntil = now + LEASE_MS / 2;
      if (!ours) return;
      if (!before) {
        sent.clear();
        comparedAt = Number.NEGATIVE_INFINITY;
      }
    }
    // Taken before anything is read: a change that is noted meanwhile is found by the next look.
    const changes = await db.deleteFrom('network_policy_change').returning(['kind', 'subject_id']).execute();
    if (now - comparedAt > COMPARE_ALL_MS) {
      for (const host of await hosts(db, null)) pending.add(host);
      comparedAt = now;
    } else if (changes.length > 0) for (const host of await hosts(db, changes)) pending.add(host);
    const asked = pending;
    pending = new Set();
    for (const host of asked) {
      if (stopping.signal.aborted) return;
      try {
        const policy = await networkPolicy(db, { hostId: host });
        const said = JSON.stringify({ ...policy, number: 0 });
        if (sent.get(host) === said) continue;
        // While it is under way nobody knows what the host has.
        sent.delete(host);
        await parts.send(host, policy);
        sent.set(host, said);
      } catch (error) {
        log.info({ host, err: error }, 'a host was not told of a change of its networks; trying again');
        pending.add(host);
      }
    }
  };
  const loop = (async () => {
    while (!stopping.signal.aborted) {
      await tick().catch((error: unknown) => {
        ours = false;
        log.warn({ err: error }, 'changes of networks could not be looked for; trying again');
      });
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, parts.everyMs ?? EVERY_MS);
        stopping.signal.addEventListener(
          'abort',
          () => {
            clearTimeout(timer);
            resolve();
          },
          { once: true },
        );
      });
    }
  })();
  return {
    stop: async () => {
      stopping.abort();
      await loop;
      await leaveDuty(db, DUTY, parts.executorId).catch(() => {});
    },
  };
}

/** Hosts whose agents enforce policies; of `changes`, those where a port has the group, or names it as its remote side. null: all. */
async function hosts(
  db: Db,
  changes: readonly { readonly kind: string; readonly subject_id: string }[] | null,
): Promise<readonly HostId[]> {
  const enforcing = sql<boolean>`(host.facts->>'networkPolicy')::boolean`;
  if (changes === null) {
    const rows = await db.selectFrom('host').select('id').where('deleted_at', 'is', null).where(enforcing).execute();
    return rows.map(({ id }) => as<HostId>(id));
  }
  const ids = (kind: string): string[] => changes.filter((change) => change.kind === kind).map(({ subject_id }) => subject_id);
  const { rows } = await sql<{ id: string }>`
    with groups as (
      select unnest(${ids('group')}::uuid[]) as id
    ), concerned as (
      select port_id from port_security_group where security_group_id in (
        select id from groups union select security_group_id from security_group_rule where remote_group_id in (select id from groups)
      )
      union select unnest(${ids('port')}::uuid[])
    ), servers as (
      select server_id from port where id in (select port_id from concerned) and server_id is not null
    )
    select distinct host.id from host where host.deleted_at is null and ${enforcing} and (
      host.id in (select host_id from server where id in (select server_id from servers))
      or host.id in (select destination_host_id from migration where finished_at is null and server_id in (select server_id from servers))
    )`.execute(db);
  return rows.map(({ id }) => as<HostId>(id));
}
