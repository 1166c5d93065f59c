import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId, ServerId } from '@godwit/domain/ids';
import { ramOf, requiredHypervisorType, requiredStorage, vcpusOf } from '@godwit/domain/scheduling/flavor-requirements';
import { demandGrowth } from '../../quotas/demand-quota.ts';
import type { FlavorSnapshot } from '../../store/core-tables.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller, ResizeRequest } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { beginColdMove, demandServiceUp } from './begin-cold-move.ts';
import { flavorFor } from './create-servers.ts';
import { type LockedServer, lockForAction } from './lock-server.ts';

/**
 * Accepts a resize: a cold migration to another flavor. Throws what the API answers, nothing changed: the refusals of the action table, SourceServiceDown, OverQuota, and BadRequest for a flavor that does
 * not exist, is the same, would make the disk smaller, or asks for another kind of host or storage.
 */
export async function acceptResize(
  db: Db,
  workflows: Workflows,
  caller: Caller,
  serverId: ServerId,
  request: ResizeRequest,
): Promise<MigrationId> {
  return db.transaction().execute(async (tx) => {
    const server = await lockForAction(tx, 'resize', serverId, caller);
    await demandServiceUp(tx, server.host_id, 'Service is unavailable at this time.');
    const flavor = await flavorFor(tx, request.flavorId, caller);
    if (flavor.id === server.flavor_id) throw new GodwitError('BadRequest', 'When resizing, instances must change flavor!');
    await demandFit(tx, server, flavor.snapshot);
    await demandGrowth(
      tx,
      { projectId: server.project_id, userId: server.user_id },
      { cores: flavor.snapshot.vcpus - vcpusOf(server.flavor), ram: flavor.snapshot.ram_mib - ramOf(server.flavor) },
    );
    return beginColdMove(tx, workflows, caller, server, { type: 'resize', requestedHost: null, flavor });
  });
}

async function demandFit(tx: Tx, server: LockedServer, wanted: FlavorSnapshot): Promise<void> {
  const refuse = (sentence: string): never => {
    throw new GodwitError('BadRequest', sentence);
  };
  const specs = wanted.extra_specs;
  if (requiredHypervisorType(specs) !== server.hypervisorType) refuse(`Flavor ${wanted.name} is for another kind of host.`);
  const [root] = await tx
    .selectFrom('disk')
    .select(['size_bytes', 'storage'])
    .where('server_id', '=', server.id)
    .where('device_index', '=', 0)
    .execute();
  if (root === undefined) return;
  const storage = requiredStorage(specs);
  if (storage !== 'any' && storage !== root.storage)
    refuse(`Flavor ${wanted.name} asks for ${storage} storage, and the disk of instance ${server.id} is ${root.storage}.`);
  if (wanted.disk_gib === 0 && server.flavor.disk_gib !== 0) refuse('Resize to zero disk flavor is not allowed.');
  // A disk that grew for a resize that was reverted stays grown, and fits its old flavor all the same.
  const least = server.flavor.disk_gib > 0 ? server.flavor.disk_gib * 2 ** 30 : root.size_bytes;
  if (wanted.disk_gib > 0 && wanted.disk_gib * 2 ** 30 < least)
    refuse(`Flavor's disk is smaller than the disk of instance ${server.id}: a disk is never made smaller.`);
  const image =
    server.image_id === null
      ? undefined
      : await tx.selectFrom('image').select('min_ram_mib').where('id', '=', server.image_id).executeTakeFirst();
  if (image !== undefined && wanted.ram_mib < image.min_ram_mib) refuse("Flavor's memory is too small for requested image.");
}
