import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { TaskState } from '@godwit/domain/server';
import type { ServerAction } from '@godwit/domain/server-states';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import { lockForAction, shutOutRunning } from './lock-server.ts';

/** What can be asked of a guest where it is. */
export type PowerOperation = 'start' | 'stop' | 'pause' | 'unpause' | 'suspend' | 'resume' | 'reboot-soft' | 'reboot-hard';

type Words = { readonly action: ServerAction; readonly recorded: string; readonly taskState: Exclude<TaskState, null> };
const words: Readonly<Record<PowerOperation, Words>> = {
  start: { action: 'start', recorded: 'start', taskState: 'powering-on' },
  stop: { action: 'stop', recorded: 'stop', taskState: 'powering-off' },
  pause: { action: 'pause', recorded: 'pause', taskState: 'pausing' },
  unpause: { action: 'unpause', recorded: 'unpause', taskState: 'unpausing' },
  suspend: { action: 'suspend', recorded: 'suspend', taskState: 'suspending' },
  resume: { action: 'resume', recorded: 'resume', taskState: 'resuming' },
  'reboot-soft': { action: 'reboot', recorded: 'reboot', taskState: 'rebooting' },
  'reboot-hard': { action: 'reboot-hard', recorded: 'reboot', taskState: 'rebooting_hard' },
};

/** The word that says, while it is under way, that it is this one and no other. */
export const taskStateOf = (operation: PowerOperation): Exclude<TaskState, null> => words[operation].taskState;

/** Accepts one of them: task_state, action record and workflow in one transaction. Throws what the API answers, nothing changed. */
export async function acceptPower(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  operation: PowerOperation,
): Promise<void> {
  const { action, recorded, taskState } = words[operation];
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, action, serverId, caller);
    if (server.host_id === null) throw new GodwitError('InvalidState', `Instance ${serverId} has no host.`);
    // An agent that knows nothing of memories would start the guest from its disk instead.
    if (operation === 'suspend' || operation === 'resume') await demandSuspends(tx, server.host_id, serverId, operation);
    if (server.task_state !== null) await shutOutRunning(tx, serverId);
    await tx.updateTable('server').set({ task_state: taskState, updated_at: new Date() }).where('id', '=', serverId).execute();
    const actionId = await recordAction(tx, serverId, recorded, caller);
    await workflows.enqueue(tx, { kind: 'power-server', subjectId: serverId, input: { operation, actionId } });
    await tellServer(tx, serverId);
  });
}

/** Throws SuspendUnsupported when the server's host has not said that it can save a guest's memory, and load it again. */
async function demandSuspends(tx: Db, hostId: string, serverId: ServerId, operation: 'suspend' | 'resume'): Promise<void> {
  const { name, facts } = await tx.selectFrom('host').select(['name', 'facts']).where('id', '=', hostId).executeTakeFirstOrThrow();
  if (facts.suspends === true) return;
  const why =
    facts.hypervisorType === 'QEMU'
      ? `host ${name} cannot save a guest's memory: it needs QEMU 9.0 and an agent that knows how`
      : `host ${name} has no QEMU whose memory could be saved`;
  throw new GodwitError('SuspendUnsupported', `Cannot '${operation}' instance ${serverId}: ${why}`);
}
