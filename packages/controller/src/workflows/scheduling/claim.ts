import type { HostId, MigrationId, ServerId } from '@godwit/domain/ids';
import { decide } from '@godwit/domain/scheduling/decide';
import type { HostState } from '@godwit/domain/scheduling/host-state';
import { noValidHostDetails } from '@godwit/domain/scheduling/no-valid-host';
import { placeDisks } from '@godwit/domain/scheduling/place-disks';
import { placedDetails } from '@godwit/domain/scheduling/placed-details';
import type { ServerDemand } from '@godwit/domain/scheduling/server-demand';
import { snapshotOf } from '@godwit/domain/scheduling/snapshot';
import { type StoredVerdicts, storedVerdicts } from '@godwit/domain/scheduling/stored-verdicts';
import { sql } from 'kysely';
import type { WarmSnapshot } from '../../scheduling/warm-snapshot.ts';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import { type DemandOptions, loadDemand } from './load-demand.ts';
import { loadHosts, type Ratios } from './load-hosts.ts';

export type Placement =
  | {
      readonly kind: 'placed';
      readonly host: HostState;
      readonly demand: ServerDemand;
      readonly pools: readonly { readonly name: string; readonly kind: 'shared' | 'local' }[];
      readonly verdicts: StoredVerdicts;
      /** The decision in words, for those who may see host names. */
      readonly details: string;
    }
  | { readonly kind: 'no-valid-host'; readonly verdicts: StoredVerdicts; readonly details: string };

export type PlaceOptions = DemandOptions & {
  readonly ratios: Ratios;
  readonly seed: number;
  /** The controller's warm snapshot; without one every host is read from the database for each decision. */
  readonly hosts?: WarmSnapshot | undefined;
};

const ATTEMPTS = 8;

/**
 * Chooses a host and locks it: every filter is asked again about the chosen host under its row lock (and the group's), against the ledger as it is then, so that two
 * decisions can neither overfill a host nor break a group rule together. The caller claims in the same transaction, before anything else.
 * Without a host nothing is locked but the group.
 */
export async function place(tx: Db, serverId: ServerId, options: PlaceOptions): Promise<Placement> {
  // The group before the hosts: the one order in which these locks are taken.
  await tx
    .selectFrom('server_group')
    .innerJoin('server_group_member', 'server_group_member.group_id', 'server_group.id')
    .select('server_group.id')
    .where('server_group_member.server_id', '=', serverId)
    .orderBy('server_group.id')
    .forUpdate('server_group')
    .execute();
  const excluded: { id: HostId; reason: string }[] = [...options.excludedHosts];
  for (let attempt = 0; ; attempt++) {
    const demand = await loadDemand(tx, serverId, { ...options, excludedHosts: excluded });
    const snapshot = options.hosts === undefined ? snapshotOf(await loadHosts(tx, options.ratios)) : await options.hosts.current(tx);
    const decision = decide(snapshot, demand, { seed: options.seed, limit: 5 });
    const verdicts = storedVerdicts(decision);
    const best = decision.chosen[0];
    if (best === undefined) return { kind: 'no-valid-host', verdicts, details: noValidHostDetails(verdicts, options.requestedHost) };
    // The lock of a host that was lost again is given back before the next one is taken: two decisions that held each other's choice would wait for ever.
    await sql`${later}savepoint candidate`.execute(tx);
    // No key update: rows that only refer to the host (a server, a port) are not held up.
    await sql`${later}select id from host where id = ${best.host.id} for no key update`.execute(tx);
    // What was committed while we waited for the lock is seen by this second look (read committed).
    const [locked] = await loadHosts(tx, options.ratios, [best.host.id]);
    // What the server asks cannot have changed meanwhile: its group is locked, and so is the server itself. Only the servers that its hints name may have moved.
    const hinted = demand.hints.sameHost.length + demand.hints.differentHost.length > 0;
    const now = hinted ? await loadDemand(tx, serverId, { ...options, excludedHosts: excluded }) : demand;
    const again = locked === undefined ? null : decide(snapshotOf([locked]), now, { seed: options.seed, limit: 1 });
    if (locked !== undefined && again !== null && again.chosen.length === 1) {
      const placed = placeDisks(demand.disks, locked.facts, demand.copiesLocalDisks);
      if ('pools' in placed)
        return {
          kind: 'placed',
          host: locked,
          demand,
          pools: placed.pools.map(({ name, kind }) => ({ name, kind })),
          verdicts,
          details: placedDetails(verdicts),
        };
    }
    await sql`rollback to savepoint candidate`.execute(tx);
    if (attempt >= ATTEMPTS) excluded.push({ id: best.host.id, reason: 'other requests kept taking what it had' });
  }
}

/** Writes the claim of a server on a host into the ledger. Only under the locks of `place`. */
export async function claim(tx: Db, serverId: ServerId, host: HostId, demand: ServerDemand): Promise<void> {
  const { vcpus, ramMib, diskGib } = demand.flavor;
  await sql`${later}insert into allocation (consumer_id, consumer_type, server_id, host_id, vcpus, ram_mib, disk_gib)
    values (${serverId}, 'server', ${serverId}, ${host}, ${vcpus}, ${ramMib}, ${diskGib})`.execute(tx);
}

type ClaimingMove = { readonly moveId: MigrationId; readonly serverId: ServerId };

/** The claim of a move: from now on the migration holds the source and the server the destination. Only under the locks of `place`. */
export async function claimMove(
  tx: Db,
  move: ClaimingMove & { readonly source: HostId },
  host: HostId,
  demand: ServerDemand,
): Promise<void> {
  await sql`${later}update allocation set consumer_id = ${move.moveId}, consumer_type = 'migration'
    where consumer_id = ${move.serverId} and host_id = ${move.source}`.execute(tx);
  await claim(tx, move.serverId, host, demand);
}

/** Undo of `claimMove`: the server holds the source, alone. */
export async function unclaimMove(tx: Db, move: ClaimingMove, host: HostId): Promise<void> {
  await tx.deleteFrom('allocation').where('consumer_id', '=', move.serverId).where('host_id', '=', host).execute();
  await tx
    .updateTable('allocation')
    .set({ consumer_id: move.serverId, consumer_type: 'server' })
    .where('consumer_id', '=', move.moveId)
    .execute();
}
