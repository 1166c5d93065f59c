import { GodwitError } from '@godwit/domain/errors';
import { countThatFits, exceeded, overQuotaSentence, type Quotas, type ServerCharge, serverQuotas } from '@godwit/domain/quotas';
import { sql } from 'kysely';
import type { Db, Tx } from '../store/database.ts';
import { readBothQuotas, readQuotas } from './read-quotas.ts';
import { serverUsage } from './usage.ts';

type Owner = { readonly projectId: string; readonly userId: string };

/**
 * How many of `count` equal servers a project (and its user) may still make. Throws OverQuota (nothing changed) when they are fewer than `least`. Until the transaction ends nobody else is let through
 * for this project, so that two at once cannot both have the last place; without a limit nobody waits.
 */
export async function demandServers(
  tx: Tx,
  owner: Owner,
  each: { readonly cores: number; readonly ram: number },
  least: number,
  count: number,
): Promise<number> {
  let allowed = count;
  for (const { limits, used } of await limited(tx, owner)) {
    const fits = countThatFits(limits, used, each, allowed);
    if (fits < least) refuse(limits, used, { instances: least, cores: each.cores * least, ram: each.ram * least });
    allowed = fits;
  }
  return allowed;
}

/** That a server may become larger by this. Throws OverQuota. */
export async function demandGrowth(tx: Tx, owner: Owner, more: { readonly cores: number; readonly ram: number }): Promise<void> {
  const wanted: ServerCharge = { instances: 0, ...more };
  if (wanted.cores <= 0 && wanted.ram <= 0) return;
  for (const { limits, used } of await limited(tx, owner)) refuse(limits, used, wanted);
}

/** Throws OverQuota when a server would have more metadata items than its project allows. */
export async function demandMetadata(db: Db, projectId: string, items: number): Promise<void> {
  if (items === 0) return;
  const { metadata_items: most } = await readQuotas(db, projectId, null);
  if (most >= 0 && items > most) throw new GodwitError('OverQuota', `Maximum number of metadata items exceeds ${most}`);
}

/** Throws OverQuota when an image would have more metadata items than the project allows. */
export async function demandImageMetadata(db: Db, projectId: string, items: number): Promise<void> {
  if (items === 0) return;
  const { metadata_items: most } = await readQuotas(db, projectId, null);
  if (most >= 0 && items > most) throw new GodwitError('OverQuota', 'Image metadata limit exceeded');
}

/** Throws OverQuota when a group would have more members than its project allows. The group's row stays locked until the transaction ends, so that two at once do not both have the last place. */
export async function demandGroupMembers(tx: Tx, group: { readonly id: string; readonly projectId: string }, more: number): Promise<void> {
  const { server_group_members: most } = await readQuotas(tx, group.projectId, null);
  if (most < 0) return;
  await tx.selectFrom('server_group').select('id').where('id', '=', group.id).forNoKeyUpdate().execute();
  const { rows } = await sql<{
    members: number;
  }>`select count(*)::integer as members from server_group_member m join server s on s.id = m.server_id where m.group_id = ${group.id} and s.deleted_at is null`.execute(
    tx,
  );
  if ((rows[0]?.members ?? 0) + more > most) throw new GodwitError('OverQuota', 'Quota exceeded, too many servers in group');
}

/** Lets one at a time through until the transaction ends, of those who count the same thing. */
export const countAlone = (tx: Tx, what: string): Promise<unknown> =>
  sql`select pg_advisory_xact_lock(hashtextextended(${`quota:${what}`}, 0))`.execute(tx);

/** The limits that there are, of the project and of its user, with what is used of each. */
async function limited(tx: Tx, { projectId, userId }: Owner): Promise<readonly { readonly limits: Quotas; readonly used: ServerCharge }[]> {
  const { ofProject, ofUser } = await readBothQuotas(tx, projectId, userId);
  const finite = (limits: Quotas): boolean => serverQuotas.some((name) => limits[name] >= 0);
  const differ = serverQuotas.some((name) => ofProject[name] !== ofUser[name]);
  if (!finite(ofProject) && !finite(ofUser)) return [];
  await countAlone(tx, projectId);
  return [
    ...(finite(ofProject) ? [{ limits: ofProject, used: await serverUsage(tx, projectId, null) }] : []),
    ...(differ && finite(ofUser) ? [{ limits: ofUser, used: await serverUsage(tx, projectId, userId) }] : []),
  ];
}

function refuse(limits: Quotas, used: ServerCharge, wanted: ServerCharge): void {
  const over = exceeded(limits, used, wanted);
  if (over.length > 0) throw new GodwitError('OverQuota', overQuotaSentence(over, limits, used, wanted));
}
