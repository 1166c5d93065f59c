import type { Db } from '../../store/database.ts';
import { beginEvent, finishEvent } from '../record/actions.ts';

/** The events of a cold move, in the compute API's names. */
export type ColdEvent =
  | 'conductor_migrate_server'
  | 'compute_prep_resize'
  | 'compute_resize_instance'
  | 'compute_finish_resize'
  | 'compute_confirm_resize'
  | 'compute_revert_resize'
  | 'compute_finish_revert_resize';

/** Opens an event of the action that a run belongs to; a run without one (a confirmation by the clock) has none. */
export async function begin(tx: Db, actionId: number | null, event: ColdEvent, hostId: string | null): Promise<void> {
  if (actionId !== null) await beginEvent(tx, actionId, event, hostId);
}

/** Closes it; `details` when it has failed. */
export async function close(tx: Db, actionId: number | null, event: ColdEvent, details: string | null = null): Promise<void> {
  if (actionId !== null) await finishEvent(tx, actionId, event, details === null ? { ok: true } : { ok: false, details });
}

/** The event that ends together with the record. */
export const endsWith = (actionId: number | null, name: ColdEvent): { readonly action: number; readonly name: string } | null =>
  actionId === null ? null : { action: actionId, name };
