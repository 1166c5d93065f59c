import { controllerStep } from '@godwit/domain/custody/controller';
import type { ControllerEffect, ControllerEvent } from '@godwit/domain/custody/controller-event';
import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { type DisksFate, disksFate } from '@godwit/domain/custody/disks-fate';
import { REFUSALS } from '@godwit/domain/custody/refusal';
import { GodwitError } from '@godwit/domain/errors';
import type { Fence, HostId, ServerId } from '@godwit/domain/ids';
import type { TaskState } from '@godwit/domain/server';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { later } from '../../store/sparing-pool.ts';
import { Fenced } from '../port.ts';
import { custodyRowOf } from './custody-row-of.ts';
import { isRestored } from './database-restored.ts';
import { writeDisksFate } from './write-disks-fate.ts';

/** The custody of a server as the database has it. Throws ServerNotFound. With `lock` the row stays locked until the transaction ends. */
export async function readCustody(db: Db, serverId: ServerId, lock = false): Promise<CustodyRow> {
  let query = db.selectFrom('server').select(['id', 'highest_epoch', 'fence', 'custody']).where('id', '=', serverId);
  if (lock) query = query.forUpdate();
  const row = await query.executeTakeFirst();
  if (row === undefined) throw new GodwitError('ServerNotFound', `Instance ${serverId} could not be found.`);
  return custodyRowOf(row);
}

/**
 * Feeds events to the server's custody, in order, and writes the row: one compare-and-set, because the row is locked and must carry this executor's fence. Whatever `tx`
 * also does commits with it. Returns the new row and what it calls for; those orders may be sent only after the commit.
 * `locked` is the row as this transaction has locked it before. Throws Fenced when another executor is in charge, CustodyRefused (nothing written) when the rules say no, or the guest would go to a
 * host that an operator has fenced.
 */
export async function stepCustody(
  tx: Db,
  serverId: ServerId,
  fence: Fence,
  events: readonly WithoutFence[],
  locked?: CustodyRow,
): Promise<{ readonly row: CustodyRow; readonly effects: readonly ControllerEffect[] }> {
  const before = locked ?? (await readCustody(tx, serverId, true));
  if (before.fence !== fence) throw new Fenced(`server ${serverId}`);
  // A controller that runs on while its database fails over, or is put back, must not grant by what that has forgotten. Its executor notes it as soon as it listens again, and this run is run again.
  if (events.some(({ kind }) => kind === 'beginMove' || kind === 'beginStart') && (await isRestored(tx)))
    throw new Error(`nothing is granted for server ${serverId} yet: ${REFUSALS['custody-recovering']}`);
  let row = before;
  let effects: readonly ControllerEffect[] = [];
  const fates: DisksFate[] = [];
  for (const event of events) {
    const begins = event.kind === 'beginMove' || event.kind === 'beginStart';
    const whole = { ...event, fence, ...(begins && { fenced: await isFencedHere(tx, event.destination) }) } as ControllerEvent;
    const next = controllerStep(row, whole);
    const refusal = next.effects.find((effect) => effect.kind === 'refuse');
    if (refusal !== undefined) throw new GodwitError('CustodyRefused', refusal.refusal.message, { code: refusal.refusal.code, serverId });
    const fate = disksFate(row, whole, next.row);
    if (fate !== null) fates.push(fate);
    row = next.row;
    effects = next.effects;
  }
  await writeCustody(tx, row, fence);
  for (const event of events) {
    if (event.kind !== 'heard' || event.message.kind !== 'took') continue;
    // A guest has run with its disks: from now on none of them is ever made anew.
    await sql`${later}update disk set fresh = false where server_id = ${serverId} and fresh`.execute(tx);
  }
  for (const fate of fates) await writeDisksFate(tx, serverId, fate);
  return { row, effects };
}

/** Who fences a host counts on it that nothing is granted there afterwards, whatever it answers, until it was compared. The row stays locked: either the fence sees this grant, or this sees the fence. */
async function isFencedHere(tx: Db, hostId: HostId): Promise<boolean> {
  const host = await tx.selectFrom('host').select('fenced_at').where('id', '=', hostId).forShare().executeTakeFirst();
  return host !== undefined && host.fenced_at !== null;
}

/** Custody is to be recovered again: nothing is granted before that. Throws Fenced when another executor is in charge. */
export async function leaveBehind(tx: Db, serverId: ServerId, fence: Fence): Promise<void> {
  const row = await readCustody(tx, serverId, true);
  if (row.fence !== fence) throw new Fenced(`server ${serverId}`);
  await writeCustody(tx, { ...row, behind: true }, fence);
}

type WithoutFence = ControllerEvent extends infer E ? (E extends ControllerEvent ? Omit<E, 'fence' | 'fenced'> : never) : never;

/**
 * Puts this executor in charge of the server: whoever was before can write nothing any more. False when the server is in none of `taskStates` (somebody else's
 * operation is under way, or this one has ended): then nothing has changed. Throws Fenced when a newer executor is in charge already.
 */
export async function takeCharge(
  db: Db,
  serverId: ServerId,
  fence: Fence,
  taskStates: readonly TaskState[],
  deleted = false,
): Promise<boolean> {
  // Null has no place in an array comparison: it goes as a word that is no task_state.
  const states = taskStates.map((state) => state ?? 'none');
  const { rows } = await sql<{ fence: number }>`
    update server set fence = greatest(fence, ${fence}::bigint)
    where id = ${serverId} and (deleted_at is not null) = ${deleted} and coalesce(task_state, 'none') = any(${states}::text[]) returning fence`.execute(
    db,
  );
  const row = rows[0];
  if (row === undefined) return false;
  if (row.fence !== fence) throw new Fenced(`server ${serverId}`);
  return true;
}

/** The caller's transaction has locked the row and seen this fence in it, so that nothing can make the condition untrue: it need not be waited for, and travels with the next statement, or the commit. Should it write nothing all the same, it fails that (a division by zero), and nothing is sent by it. */
async function writeCustody(tx: Db, row: CustodyRow, fence: Fence): Promise<void> {
  if (!tx.isTransaction) throw new Error('custody is written in a transaction, with the row locked');
  const { holder, operation, remains, behind } = row;
  const written = tx
    .updateTable('server')
    .set({
      highest_epoch: row.epoch,
      custody: JSON.stringify({ holder, operation, remains, behind }),
      // `host_id` is not the holder: it stays where the disks of a shut-off server are, and a move changes it only when it becomes terminal.
      ...(holder.kind === 'host' ? { epoch: holder.epoch } : {}),
    })
    .where('id', '=', row.serverId)
    .where('fence', '=', fence);
  await sql`${later}with written as (${written.returning('id')}) select 1 / count(*) from written`.execute(tx);
}
