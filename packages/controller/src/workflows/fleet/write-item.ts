import type { Updateable } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { FleetItemTable, ItemCause } from '../../store/fleet-tables.ts';
import type { WorkflowRun } from '../port.ts';
import { demandCharge } from './charge.ts';
import { type OperationItemRow, tellOperation } from './operation-rows.ts';

/** Writes columns of an item under the run's fence and tells the event stream; in the caller's transaction. Throws Fenced. */
export async function writeItem(
  tx: Db,
  run: Pick<WorkflowRun, 'fence'>,
  item: OperationItemRow,
  values: Updateable<FleetItemTable>,
): Promise<void> {
  await demandCharge(tx, run, item.operation_id);
  await tx
    .updateTable('fleet_item')
    .set(values)
    .where('operation_id', '=', item.operation_id)
    .where('position', '=', item.position)
    .execute();
  await tx.updateTable('fleet_operation').set({ updated_at: new Date() }).where('id', '=', item.operation_id).execute();
  await tellOperation(tx, item.operation_id, item.position);
}

/** An item's end other than done. */
export const endedBy = (
  state: 'failed' | 'skipped',
  code: string,
  sentence: string,
  remedy: string | null = null,
): Updateable<FleetItemTable> => ({
  state,
  cause: JSON.stringify({ code, sentence, remedy } satisfies ItemCause),
  finished_at: new Date(),
});
