import type { LockArguments } from '@godwit/contract/schemas/compute/server-actions';
import { GodwitError } from '@godwit/domain/errors';
import { policyMessage } from '@godwit/domain/server-states';
import { allows } from '../../auth/policy.ts';
import { recordAction } from '../../workflows/record/actions.ts';
import { tellServer } from '../../workflows/record/server-event.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverFor } from './server-rows.ts';

/** Until unlocked the server refuses what would change it, except to an admin. */
export async function lock(request: ComputeRequest<never>, args: LockArguments): Promise<Answer> {
  const row = await serverFor(request, 'lock');
  // Below 2.73 the argument is anything and says nothing.
  const reason = request.minor >= 73 ? (args?.locked_reason ?? null) : null;
  // A lock of the owner is not made the admin's: whoever locked first decides who may unlock.
  const lockedBy =
    row.locked && row.locked_by !== null
      ? row.locked_by
      : request.caller.projectId === row.project_id && !request.caller.isAdmin
        ? 'owner'
        : 'admin';
  await write(request, row.id, 'lock', { locked: true, locked_reason: reason, locked_by: lockedBy });
  return { status: 202 };
}

export async function unlock(request: ComputeRequest<never>): Promise<Answer> {
  const row = await serverFor(request, 'unlock');
  if (row.locked && row.locked_by === 'admin' && !allows(request.caller, 'os-lock-server:unlock:unlock_override')) {
    throw new GodwitError('Forbidden', policyMessage('os_compute_api:os-lock-server:unlock:unlock_override'));
  }
  await write(request, row.id, 'unlock', { locked: false, locked_reason: null, locked_by: null });
  return { status: 202 };
}

type LockColumns = { readonly locked: boolean; readonly locked_reason: string | null; readonly locked_by: 'owner' | 'admin' | null };

async function write(
  { context, caller }: ComputeRequest<never>,
  id: string,
  action: 'lock' | 'unlock',
  values: LockColumns,
): Promise<void> {
  await context.db.transaction().execute(async (tx) => {
    await tx
      .updateTable('server')
      .set({ ...values, updated_at: new Date() })
      .where('id', '=', id)
      .execute();
    await recordAction(tx, id, action, caller);
    await tellServer(tx, id);
  });
}
