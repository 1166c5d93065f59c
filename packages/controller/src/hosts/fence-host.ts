import { GodwitError } from '@godwit/domain/errors';
import { type RawBuilder, sql } from 'kysely';
import { recordEvent } from '../events/record-event.ts';
import { type Db, inTransaction } from '../store/database.ts';
import type { Caller } from '../workflows/operations.ts';
import type { Workflows } from '../workflows/port.ts';

/** A host that was heard of less than this ago is connected: its guests are there, and may run. */
const HEARD_MS = 5_000;

export type FencedHost = { readonly id: string; readonly name: string; readonly fencedAt: Date };

/**
 * Takes an operator's word that a host can run and reach nothing any more. From the commit on nothing is granted to it, and every server whose custody waits for it, or has its guest
 * there, is settled without it. Fencing a fenced host again changes nothing. Throws NotFound, or Conflict while the host is heard of: then a guest may run there, and nothing has changed.
 */
export async function fenceHost(db: Db, workflows: Pick<Workflows, 'enqueue' | 'wake'>, caller: Caller, name: string): Promise<FencedHost> {
  return inTransaction(db, async (tx) => {
    // The row that the watcher locks too when it hears of the host: either it was heard before, or it is fenced first.
    const host = await tx
      .selectFrom('host')
      .select(['id', 'name', 'boot_id', 'reachable', 'last_seen_at', 'fenced_at'])
      .select(sql<boolean>`coalesce(last_seen_at > now() - ${HEARD_MS} * interval '1 millisecond', false)`.as('heard'))
      .where('name', '=', name)
      .where('deleted_at', 'is', null)
      .forUpdate()
      .executeTakeFirst();
    if (host === undefined) throw new GodwitError('NotFound', `Compute host ${name.slice(0, 255)} could not be found.`);
    if (host.reachable || host.heard)
      throw new GodwitError(
        'Conflict',
        `Host ${host.name} answers: it is not fenced while it is heard of. Power it off, or cut it off, first. Its guests can be moved, or stopped, meanwhile.`,
      );
    const known = host.fenced_at !== null && (host.last_seen_at === null || host.last_seen_at <= host.fenced_at);
    const fencedAt = known && host.fenced_at !== null ? host.fenced_at : new Date();
    if (!known) {
      // Grants are for the boot that the host itself named: the row may have an older one, and then the boot it comes back in is no newer one.
      const newest = (await knowsOtherBoot(tx, host.id, host.boot_id)) ? null : host.boot_id;
      await tx
        .updateTable('host')
        .set({ fenced_at: fencedAt, fenced_boot_id: newest, fence_compared_at: null, updated_at: fencedAt })
        .where('id', '=', host.id)
        .execute();
      await recordEvent(tx, {
        kind: 'host',
        subjectId: host.id,
        projectId: null,
        data: { name: host.name, fenced: true, by: caller.userId },
      });
    }
    for (const id of await serversConcerned(tx, host.id)) {
      await workflows.enqueue(tx, { kind: 'settle-server', subjectId: id });
      await workflows.wake(tx, id);
    }
    const moves = await tx
      .selectFrom('migration')
      .select('id')
      .where('finished_at', 'is', null)
      .where((eb) => eb.or([eb('source_host_id', '=', host.id), eb('destination_host_id', '=', host.id)]))
      .execute();
    for (const { id } of moves) await workflows.wake(tx, id);
    return { id: host.id, name: host.name, fencedAt };
  });
}

/**
 * A fenced host counts as returned, and may be given guests again, once everything it has was compared with the database and either it has booted since (nothing of what ran there is
 * left) or no server's custody names it any more: what it still had was killed. Which boot it was fenced in may be unknown (null): then only the second counts. Returns whether it was just let back.
 */
export async function letFencedHostBack(db: Db, hostId: string): Promise<boolean> {
  const host = await db
    .updateTable('host')
    .set({ fenced_at: null, fenced_boot_id: null, fence_compared_at: null, updated_at: new Date() })
    .where('id', '=', hostId)
    .where('fenced_at', 'is not', null)
    .where('fence_compared_at', 'is not', null)
    .where((eb) => eb.or([eb('boot_id', '<>', eb.ref('fenced_boot_id')), sql<boolean>`not ${anyNames(hostId)}`]))
    .returning('name')
    .executeTakeFirst();
  if (host === undefined) return false;
  await recordEvent(db, { kind: 'host', subjectId: hostId, projectId: null, data: { name: host.name, fenced: false } });
  return true;
}

/** Notes that everything which a fenced host has was compared with the database. */
export async function noteFencedHostCompared(db: Db, hostId: string): Promise<void> {
  await db.updateTable('host').set({ fence_compared_at: new Date() }).where('id', '=', hostId).where('fenced_at', 'is not', null).execute();
}

/** Whether an operator has fenced this host, and it has not been let back. */
export async function isFenced(db: Db, hostId: string): Promise<boolean> {
  const host = await db.selectFrom('host').select('fenced_at').where('id', '=', hostId).executeTakeFirst();
  return host !== undefined && host.fenced_at !== null;
}

/** Whether some server's custody has a copy, or a grant, of another boot of this host than its row has. A saved memory is of no boot. */
async function knowsOtherBoot(db: Db, hostId: string, bootId: string | null): Promise<boolean> {
  const of = (host: string, boot: string) => sql<boolean>`(${sql.raw(host)} = ${hostId} and ${sql.raw(boot)} is distinct from ${bootId})`;
  const other = await db
    .selectFrom('server')
    .select('id')
    .where((eb) =>
      eb.or([
        sql<boolean>`(custody->'holder'->>'kind' <> 'suspended' and ${of("custody->'holder'->>'hostId'", "custody->'holder'->>'bootId'")})`,
        of("custody->'operation'->'grant'->>'destination'", "custody->'operation'->'grant'->>'bootId'"),
      ]),
    )
    .executeTakeFirst();
  return other !== undefined;
}

async function serversConcerned(db: Db, hostId: string): Promise<readonly string[]> {
  const rows = await db.selectFrom('server').select('id').where(namesHost(hostId)).execute();
  return rows.map(({ id }) => id);
}

/** The holder, an operation or remains: any mention of the host in a server's custody. Ids are UUIDs: no other text looks like one. */
const namesHost = (hostId: string): RawBuilder<boolean> => sql<boolean>`strpos(custody::text, ${hostId}) > 0`;
/** Other than as the holder of a saved memory: that runs nowhere, and is what the host is to have still. */
const anyNames = (hostId: string): RawBuilder<boolean> => sql<boolean>`exists (select 1 from server
  where strpos((case custody->'holder'->>'kind' when 'suspended' then custody - 'holder' else custody end)::text, ${hostId}) > 0)`;
