import { randomBytes, randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { requiredHypervisorType, unkeptRequirement } from '@godwit/domain/scheduling/flavor-requirements';
import { allocatePorts } from '../../networks/allocate-ports.ts';
import { demandGroupMembers, demandMetadata, demandServers } from '../../quotas/demand-quota.ts';
import type { DirectBootColumn, FlavorSnapshot } from '../../store/core-tables.ts';
import type { Db, Tx } from '../../store/database.ts';
import type { Caller, CreateServers } from '../operations.ts';
import type { Workflows } from '../port.ts';
import { recordAction } from '../record/actions.ts';
import { tellServerAs, told, toldHost } from '../record/server-event.ts';

export type CreatedServers = { readonly serverIds: readonly ServerId[]; readonly reservationId: string; readonly adminPass: string };

/**
 * Accepts the making of one or several servers: rows, ports, group membership, action records and workflows in one transaction.
 * Throws (nothing made): BadRequest for an unknown image, flavor, network or group, HostNotFound for an unknown requested host, Conflict when addresses run out,
 * OverQuota. Of `minCount` to `maxCount` servers as many are made as the quotas allow.
 */
export async function acceptCreate(db: Db, workflows: Workflows, caller: Caller, request: CreateServers): Promise<CreatedServers> {
  const reservationId = `r-${randomBytes(5).toString('hex').slice(0, 8)}`;
  const serverIds = await db.transaction().execute(async (tx) => {
    const flavor = await flavorFor(tx, request.flavorId, caller);
    const image = request.imageId === null ? null : await imageFor(tx, request.imageId, flavor.snapshot);
    if (image === null && requiredHypervisorType(flavor.snapshot.extra_specs) === 'QEMU')
      throw new GodwitError('BadRequest', 'Invalid imageRef provided.');
    if (request.host !== null) await demandHost(tx, request.host);
    const groupId = request.hints.group === undefined ? null : await groupFor(tx, request.hints.group, caller);
    await demandMetadata(tx, caller.projectId, Object.keys(request.metadata).length);
    const each = { cores: flavor.snapshot.vcpus, ram: flavor.snapshot.ram_mib };
    const count = await demandServers(tx, caller, each, request.minCount, Math.max(request.minCount, request.maxCount));
    if (groupId !== null) await demandGroupMembers(tx, { id: groupId, projectId: caller.projectId }, count);
    const made: ServerId[] = [];
    for (let index = 0; index < count; index++) {
      const id = as<ServerId>(randomUUID());
      const name = count === 1 ? request.name : `${request.name}-${index + 1}`;
      const accepted = await tx
        .insertInto('server')
        .values({
          id,
          name,
          hostname: request.hostname ?? hostnameOf(name, id),
          description: request.description,
          project_id: caller.projectId,
          user_id: caller.userId,
          vm_state: 'building',
          task_state: 'scheduling',
          requested_zone: request.availabilityZone,
          scheduler_hints: JSON.stringify(request.hints),
          image_id: request.imageId,
          flavor_id: flavor.id,
          flavor: JSON.stringify(flavor.snapshot),
          direct_boot: image?.directBoot === undefined || image.directBoot === null ? null : JSON.stringify(image.directBoot),
          metadata: JSON.stringify(request.metadata),
          tags: [...request.tags],
          key_name: request.keyName,
          user_data: request.userData,
          config_drive: request.configDrive,
          guest_agent: image?.guestAgent ?? false,
          disk_config: request.diskConfig,
          reservation_id: reservationId,
          launch_index: index,
          host_id: null,
          machine_type: null,
          cpu_model: null,
          locked_reason: null,
          locked_by: null,
          access_ip_v4: null,
          access_ip_v6: null,
          launched_at: null,
          terminated_at: null,
          deleted_at: null,
        })
        .returning(told)
        .returning(toldHost)
        .executeTakeFirstOrThrow();
      if (groupId !== null) await tx.insertInto('server_group_member').values({ group_id: groupId, server_id: id }).execute();
      await allocatePorts(tx, {
        caller,
        serverId: id,
        networks: request.networks,
        ...(request.securityGroups === undefined ? {} : { securityGroups: request.securityGroups }),
      });
      const actionId = await recordAction(tx, id, 'create', caller);
      // The requested host is of this request alone: it is not remembered with the server.
      await workflows.enqueue(tx, { kind: 'create-server', subjectId: id, input: { actionId, requestedHost: request.host } });
      await tellServerAs(tx, accepted);
      made.push(id);
    }
    return made;
  });
  return { serverIds, reservationId, adminPass: randomBytes(9).toString('base64url') };
}

/** A flavor that the caller may use, as a server keeps it. Throws BadRequest. */
export async function flavorFor(
  tx: Tx,
  flavorId: string,
  caller: Caller,
): Promise<{ readonly id: string; readonly snapshot: FlavorSnapshot }> {
  const flavor = await tx.selectFrom('flavor').selectAll().where('id', '=', flavorId).where('deleted_at', 'is', null).executeTakeFirst();
  const allowed =
    flavor !== undefined &&
    (flavor.is_public ||
      caller.isAdmin ||
      (await tx
        .selectFrom('flavor_access')
        .select('flavor_id')
        .where('flavor_id', '=', flavorId)
        .where('project_id', '=', caller.projectId)
        .executeTakeFirst()) !== undefined);
  if (flavor === undefined || !allowed || flavor.disabled) throw new GodwitError('BadRequest', 'Invalid flavorRef provided.');
  const unkept = unkeptRequirement(flavor.extra_specs);
  if (unkept !== null) throw new GodwitError('BadRequest', `Flavor ${flavor.name} cannot be used: ${unkept}`);
  const { name, vcpus, ram_mib, disk_gib, ephemeral_gib, swap_mib, extra_specs } = flavor;
  return { id: flavor.id, snapshot: { name, vcpus, ram_mib, disk_gib, ephemeral_gib, swap_mib, extra_specs } };
}

/** An image that a server of this flavor can boot from. Throws BadRequest. */
export async function imageFor(
  tx: Tx,
  imageId: string,
  flavor: FlavorSnapshot,
): Promise<{ readonly directBoot: DirectBootColumn | null; readonly guestAgent: boolean }> {
  const image = await tx.selectFrom('image').selectAll().where('id', '=', imageId).where('deleted_at', 'is', null).executeTakeFirst();
  if (image === undefined) throw new GodwitError('BadRequest', 'Invalid imageRef provided.');
  if (image.status !== 'active') throw new GodwitError('BadRequest', `Image ${imageId} is not active.`);
  if (image.disk_format !== 'raw' && image.disk_format !== 'qcow2')
    throw new GodwitError(
      'BadRequest',
      `Image ${imageId} is unacceptable: a server boots from raw or qcow2, not from ${image.disk_format ?? 'no format'}.`,
    );
  if (flavor.ram_mib < image.min_ram_mib) throw new GodwitError('BadRequest', "Flavor's memory is too small for requested image.");
  const virtualGib = (image.virtual_size_bytes ?? image.size_bytes ?? 0) / 2 ** 30;
  if (flavor.disk_gib > 0 && flavor.disk_gib < Math.max(image.min_disk_gib, virtualGib))
    throw new GodwitError('BadRequest', "Flavor's disk is too small for requested image.");
  const guestAgent = isTrue(image.properties.hw_qemu_guest_agent);
  const kernelImageId = image.properties.kernel_id;
  if (kernelImageId === undefined || kernelImageId === '') return { directBoot: null, guestAgent };
  const ramdiskImageId = image.properties.ramdisk_id ?? '';
  for (const id of [kernelImageId, ramdiskImageId].filter((one) => one !== '')) {
    const part = /^[0-9a-f-]{36}$/.test(id)
      ? await tx.selectFrom('image').select('status').where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst()
      : undefined;
    if (part?.status !== 'active')
      throw new GodwitError('BadRequest', `Image ${imageId} is unacceptable: its kernel or ramdisk image ${id} is not active.`);
  }
  return { directBoot: { kernelImageId, ramdiskImageId, commandLine: image.properties.os_command_line ?? '' }, guestAgent };
}

/** As Nova reads an image's flag (oslo's bool_from_string): anything else is no. */
const isTrue = (value: string | undefined): boolean => /^(1|t|true|on|y|yes)$/i.test(value?.trim() ?? '');

async function demandHost(tx: Tx, name: string): Promise<void> {
  const host = await tx.selectFrom('host').select('id').where('name', '=', name).where('deleted_at', 'is', null).executeTakeFirst();
  if (host === undefined) throw new GodwitError('HostNotFound', `Compute host ${name} could not be found.`);
}

async function groupFor(tx: Tx, groupId: string, caller: Caller): Promise<string> {
  const group = /^[0-9a-f-]{36}$/.test(groupId)
    ? await tx
        .selectFrom('server_group')
        .select(['id', 'project_id'])
        .where('id', '=', groupId)
        .where('deleted_at', 'is', null)
        .executeTakeFirst()
    : undefined;
  if (group === undefined || (group.project_id !== caller.projectId && !caller.isAdmin))
    throw new GodwitError('BadRequest', `Instance group ${groupId} could not be found.`);
  return group.id;
}

/** A name as a host name: lower case letters, digits and dashes; the server's id where nothing is left. */
export function hostnameOf(name: string, serverId: string): string {
  const plain = name
    .toLowerCase()
    .replace(/[ _.]/g, '-')
    .replace(/[^a-z0-9-]/g, '')
    .replace(/-+/g, '-')
    .replace(/^-|-$/g, '')
    .slice(0, 63)
    .replace(/-$/, '');
  return plain === '' ? `server-${serverId}` : plain;
}
