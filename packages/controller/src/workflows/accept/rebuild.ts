import { GodwitError } from '@godwit/domain/errors';
import type { ServerId } from '@godwit/domain/ids';
import type { Updateable } from 'kysely';
import { demandMetadata } from '../../quotas/demand-quota.ts';
import type { DirectBootColumn, ServerTable } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServer } from '../record/server-event.ts';
import type { ReplacedDisks } from '../server/remove-replaced-disks.ts';
import { demandServiceUp } from './begin-cold-move.ts';
import { imageFor } from './create-servers.ts';
import { lockForAction } from './lock-server.ts';

export type RebuildRequest = {
  readonly imageId: string;
  /** null: stays as it is. */
  readonly metadata: Readonly<Record<string, string>> | null;
  /** What else of the server changes with it. */
  readonly columns: Pick<
    Updateable<ServerTable>,
    'name' | 'description' | 'access_ip_v4' | 'access_ip_v6' | 'disk_config' | 'key_name' | 'user_data' | 'hostname'
  >;
};

export type RebuildInput = {
  readonly actionId: number;
  readonly imageId: string;
  readonly directBoot: DirectBootColumn | null;
  /** As the new image asks; absent: accepted by a controller that knew of none. */
  readonly guestAgent?: boolean;
  /** It was off, and is off afterwards. */
  readonly endsStopped: boolean;
  /** Of the disks that were replaced, once they are. */
  readonly replaced?: ReplacedDisks;
};

/**
 * Accepts a rebuild: the server keeps its id, addresses and host, and gets a new disk from an image. Throws what the API answers, nothing changed: the refusals of the action table, SourceServiceDown,
 * BadRequest for an image that it cannot boot from, OverQuota, and NotImplemented for bare metal.
 */
export async function acceptRebuild(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: RebuildRequest,
): Promise<void> {
  await db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'rebuild', serverId, caller);
    if (server.hypervisorType === 'ironic')
      throw new GodwitError('NotImplemented', 'Bare metal instances are not rebuilt in this version.');
    if (server.host_id === null) throw new GodwitError('InvalidState', `Instance ${serverId} has no host.`);
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    const { directBoot, guestAgent } = await imageFor(tx, request.imageId, server.flavor);
    if (request.metadata !== null) await demandMetadata(tx, server.project_id, Object.keys(request.metadata).length);
    await tx
      .updateTable('server')
      .set({
        ...request.columns,
        ...(request.metadata === null ? {} : { metadata: JSON.stringify(request.metadata) }),
        task_state: 'rebuilding',
        progress: 0,
        updated_at: new Date(),
      })
      .where('id', '=', serverId)
      .execute();
    const actionId = await recordAction(tx, serverId, 'rebuild', caller);
    const input: RebuildInput = { actionId, imageId: request.imageId, directBoot, guestAgent, endsStopped: server.vm_state === 'stopped' };
    await workflows.enqueue(tx, { kind: 'rebuild-server', subjectId: serverId, input });
    await tellServer(tx, serverId);
  });
}
