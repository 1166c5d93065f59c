import { GodwitError } from '@godwit/domain/errors';
import { type Selectable, sql } from 'kysely';
import { visibleNetworks } from '../../networks/visible-networks.ts';
import type { NetworkTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../../workflows/operations.ts';

export type NetworkRow = Selectable<NetworkTable>;

/** The network of a URL or body. Throws NotFound when there is none that the caller may see (also for a name in place of an id). */
export async function findNetwork(db: Db, caller: Caller, id: string): Promise<NetworkRow> {
  const row = await db
    .selectFrom('network')
    .selectAll()
    .where(sql<boolean>`id::text = ${id}`)
    .where(visibleNetworks(caller))
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Network ${id.slice(0, 255)} could not be found.`);
  return row;
}

/** Throws Forbidden unless the caller may change what this project owns. Seeing it (a shared network) is not enough. */
export function assertOwner(caller: Caller, resource: { readonly project_id: string | null }, rule: string): void {
  const writes = caller.roles.some((role) => role === 'member' || role === 'manager');
  if (!caller.isAdmin && !(writes && resource.project_id === caller.projectId))
    throw new GodwitError('Forbidden', `rule:${rule} is disallowed by policy`);
}

/** The project that a new resource belongs to: the caller's; an admin may name another. */
export function ownerOf(caller: Caller, body: { readonly project_id?: string; readonly tenant_id?: string }, rule: string): string {
  const owner = body.project_id ?? body.tenant_id ?? caller.projectId;
  assertOwner(caller, { project_id: owner }, rule);
  return owner;
}
