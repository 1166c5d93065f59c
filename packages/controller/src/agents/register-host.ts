import { randomUUID } from 'node:crypto';
import { isIP } from 'node:net';
import { GodwitError } from '@godwit/domain/errors';
import type { HostFacts } from '@godwit/domain/host';
import { as, type HostId } from '@godwit/domain/ids';
import { sql } from 'kysely';
import { recordEvent } from '../events/record-event.ts';
import type { Db } from '../store/database.ts';

export type NewHost = {
  readonly name: string;
  /** A known host of this name gets its identity back (the token was made for it by name). */
  readonly mayReplace: boolean;
  /** The host that this very join has made already, whose answer was lost; null at first. */
  readonly again: string | null;
  readonly address: string;
  readonly rpcPort: number;
  readonly bootId: string;
  readonly zone: string | null;
  readonly facts: HostFacts;
  readonly tokenHash: string;
};

/**
 * Writes the host's row and, at its first join and when it comes back after it was deleted, puts it in the aggregate of its zone. Returns its id: a known host keeps its own.
 * Throws Conflict when the name is taken and the token was not made for it, BadRequest when name or address are malformed, Unauthorized when it has joined before and was
 * removed since; nothing is changed then.
 */
export async function registerHost(db: Db, host: NewHost): Promise<HostId> {
  if (!/^[A-Za-z0-9._-]{1,255}$/.test(host.name)) throw new GodwitError('BadRequest', `"${host.name}" is not a host name`);
  if (isIP(host.address) === 0) throw new GodwitError('BadRequest', `"${host.address}" is not an IP address`);
  if (!Number.isInteger(host.rpcPort) || host.rpcPort < 1 || host.rpcPort > 65_535)
    throw new GodwitError('BadRequest', `${host.rpcPort} is not a port`);
  return db.transaction().execute(async (tx) => {
    const known = await tx.selectFrom('host').select(['id', 'deleted_at']).where('name', '=', host.name).forUpdate().executeTakeFirst();
    if (host.again !== null && (known === undefined || known.id !== host.again || known.deleted_at !== null))
      throw new GodwitError('Unauthorized', 'the join token is unknown, expired or used');
    if (known !== undefined && known.deleted_at === null && !host.mayReplace && host.again === null) {
      throw new GodwitError('Conflict', `a host named ${host.name} is part of the cloud; a token made for that name lets it join again`);
    }
    const id = known?.id ?? randomUUID();
    const now = new Date();
    const values = {
      name: host.name,
      hypervisor_type: host.facts.hypervisorType,
      address: host.address,
      rpc_port: host.rpcPort,
      facts: JSON.stringify(host.facts),
      deleted_at: null,
      updated_at: now,
    };
    if (known === undefined)
      await tx
        .insertInto('host')
        .values({ id, ...values, initial_zone: host.zone })
        .execute();
    else if (known.deleted_at === null) await tx.updateTable('host').set(values).where('id', '=', id).execute();
    // One that comes back is a host like a new one: what an operator had switched was of its life before.
    else
      await tx
        .updateTable('host')
        .set({ ...values, initial_zone: host.zone, enabled: true, disabled_reason: null, forced_down: false })
        .where('id', '=', id)
        .execute();
    await tx.updateTable('join_token').set({ used_by: id }).where('secret_hash', '=', host.tokenHash).execute();
    if ((known === undefined || known.deleted_at !== null) && host.zone !== null) await joinZone(tx, id, host.zone);
    await recordEvent(tx, { kind: 'host', subjectId: id, projectId: null, data: { name: host.name, what: 'joined' } });
    return as<HostId>(id);
  });
}

/** A zone is the metadata of an aggregate, as in Nova; an aggregate named after it is made when no other has it. */
async function joinZone(tx: Db, hostId: string, zone: string): Promise<void> {
  // Hosts of one zone join at the same time.
  await sql`select pg_advisory_xact_lock(hashtext(${`zone ${zone}`}))`.execute(tx);
  const found = await tx
    .selectFrom('aggregate')
    .select('id')
    .where('deleted_at', 'is', null)
    .where(sql<boolean>`metadata->>'availability_zone' = ${zone}`)
    .orderBy('id')
    .executeTakeFirst();
  const aggregate =
    found ??
    (await tx
      .insertInto('aggregate')
      .values({ name: zone, metadata: JSON.stringify({ availability_zone: zone }), updated_at: new Date() })
      .returning('id')
      .executeTakeFirstOrThrow());
  await tx
    .insertInto('aggregate_host')
    .values({ aggregate_id: aggregate.id, host_id: hostId })
    .onConflict((conflict) => conflict.doNothing())
    .execute();
}
