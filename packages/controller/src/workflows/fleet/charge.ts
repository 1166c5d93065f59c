import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import { Fenced, type WorkflowRun } from '../port.ts';
import { type Operation, readOperation } from './operation-rows.ts';

/** Puts this executor in charge of the operation. Throws Fenced when a newer one is. */
export async function takeOperation(db: Db, run: WorkflowRun): Promise<void> {
  const { rows } = await sql<{ fence: number }>`
    update fleet_operation set fence = greatest(fence, ${run.fence}::bigint) where id = ${run.subjectId} returning fence`.execute(db);
  if (rows[0]?.fence !== run.fence) throw new Fenced(`operation ${run.subjectId}`);
}

/** The operation's row under this run's fence, locked until the transaction ends. Throws Fenced. */
export async function demandCharge(tx: Db, run: Pick<WorkflowRun, 'fence'>, operationId: string): Promise<Operation> {
  const operation = await readOperation(tx, operationId, true);
  if (operation.fence !== run.fence) throw new Fenced(`operation ${operationId}`);
  return operation;
}
