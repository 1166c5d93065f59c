import type { ResetStateArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import type { VmState } from '@godwit/domain/server';
import { recordAction } from '../../workflows/record/actions.ts';
import { tellServer } from '../../workflows/record/server-event.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/**
 * An admin declares what state a server is in. Refused while a migration is under way: task_state and the migration's end belong together, and a
 * server declared idle in the middle of a move could be started a second time. Abort the migration instead; it always ends. Refused for a rescued or shelved server: its own disk would not be what it is active with.
 */
export async function resetState(request: ComputeRequest<never>, args: ResetStateArguments): Promise<Answer> {
  const row = await serverFor(request, 'reset-state');
  await request.context.db.transaction().execute(async (tx) => {
    const { vm_state: is } = await tx
      .selectFrom('server')
      .select('vm_state')
      .where('id', '=', row.id)
      .forUpdate()
      .executeTakeFirstOrThrow();
    const way = { rescued: 'Unrescue', shelved: 'Unshelve', shelved_offloaded: 'Unshelve' } as const satisfies Partial<
      Record<VmState, string>
    >;
    if (is === 'rescued' || is === 'shelved' || is === 'shelved_offloaded')
      throw new GodwitError('Conflict', `Instance ${row.id} is ${is}: its state cannot be reset. ${way[is]} it, or delete it.`);
    const moving = await tx
      .selectFrom('migration')
      .select(['api_id', 'status'])
      .where('server_id', '=', row.id)
      .where('finished_at', 'is', null)
      .executeTakeFirst();
    if (moving !== undefined) {
      throw new GodwitError(
        'Conflict',
        `Instance ${row.id} has migration ${moving.api_id} in progress (${moving.status}): its state cannot be reset until that has ended.`,
      );
    }
    await tx
      .updateTable('server')
      .set({ vm_state: args.state, task_state: null, updated_at: new Date() })
      .where('id', '=', row.id)
      .execute();
    await recordAction(tx, row.id, 'os-resetState', request.caller);
    await tellServer(tx, row.id);
  });
  return { status: 202 };
}
