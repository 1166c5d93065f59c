import { GodwitError } from '@godwit/domain/errors';
import { takesPortsRunning } from '@godwit/domain/guest-spec';
import type { ServerId } from '@godwit/domain/ids';
import { attachPort, type InterfaceRequest } from '../../networks/attach-port.ts';
import type { Db, Tx } from '../../store/database.ts';
import { readCustody } from '../custody/custody-store.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { type LockedServer, lockForAction } from './lock-server.ts';

export type InterfaceOperation = 'attach' | 'detach';
export type InterfaceInput = { readonly operation: InterfaceOperation; readonly portId: string; readonly actionId: number };

/**
 * Accepts that a server gets a port: the port is bound to it, task_state, action and workflow, in one transaction. Returns the port and the action whose event tells how it went. Throws what the API
 * answers, nothing changed: the refusals of the action table, those of attachPort, HotPlugUnsupported for a machine that runs and takes none.
 */
export async function acceptAttach(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: InterfaceRequest,
): Promise<{ readonly portId: string; readonly actionId: number }> {
  return db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'attach-interface', serverId, caller);
    await demandPlaces(tx, server, serverId);
    // As in a create, the project of the server counts, and not that of an admin who asks.
    const portId = await attachPort(tx, { projectId: server.project_id, isAdmin: caller.isAdmin }, serverId, request);
    return { portId, actionId: await enqueue(tx, workflows, caller, serverId, 'attach', portId) };
  });
}

/** Accepts that a server loses a port; it keeps it until its guest has given it up. Throws as above, and NotFound when it has no such port. */
export async function acceptDetach(db: Db, workflows: Workflows, caller: Caller, serverId: ServerId, portId: string): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'detach-interface', serverId, caller);
    const ports = await tx.selectFrom('port').select('id').where('server_id', '=', serverId).execute();
    if (!ports.some(({ id }) => id === portId)) throw new GodwitError('NotFound', `Port ${portId.slice(0, 120)} is not attached`);
    await demandPlaces(tx, server, serverId);
    await enqueue(tx, workflows, caller, serverId, 'detach', portId);
  });
}

async function demandPlaces(tx: Tx, server: LockedServer, serverId: ServerId): Promise<void> {
  const machine = { deviceLayout: server.device_layout ?? 1, machineType: server.machine_type ?? '' } as const;
  if (takesPortsRunning(machine) || (await readCustody(tx, serverId)).holder.kind === 'nowhere') return;
  throw new GodwitError(
    'HotPlugUnsupported',
    `Instance ${serverId} was made with a layout of devices that takes no interface while it runs: stop it first.`,
  );
}

async function enqueue(
  tx: Tx,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  operation: InterfaceOperation,
  portId: string,
): Promise<number> {
  await tx.updateTable('server').set({ task_state: 'networking', updated_at: new Date() }).where('id', '=', serverId).execute();
  const actionId = await recordAction(tx, serverId, `${operation}_interface`, caller);
  await workflows.enqueue(tx, {
    kind: 'change-interfaces',
    subjectId: serverId,
    input: { operation, portId, actionId } satisfies InterfaceInput,
  });
  await tellServer(tx, serverId);
  return actionId;
}
