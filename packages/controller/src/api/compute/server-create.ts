import type { CreateServer, SchedulerHints } from '@godwit/contract/schemas/compute/server-requests';
import { GodwitError } from '@godwit/domain/errors';
import { requiredHypervisorType } from '@godwit/domain/scheduling/flavor-requirements';
import { sql } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import type { CreateServers } from '../../workflows/operations.ts';
import { truth } from './boolean.ts';
import { findFlavor } from './flavors.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { serverLinks } from './server-view.ts';

const bad = (message: string): GodwitError => new GodwitError('BadRequest', message);

/** `POST /servers`: what can be known to be wrong is refused here; the rest (hosts, capacity) is the scheduler's, after the answer. */
export async function createServers(request: ComputeRequest<CreateServer>): Promise<Answer> {
  assertAllowed(request.caller, 'servers:create');
  const { server } = request.body;
  refuseWhatIsNotOffered(server);
  const { minCount, maxCount } = counts(server);
  if (server.hostname !== undefined && maxCount > 1) throw bad('A hostname can only be given for a single server.');
  const { zone, host } = await placement(request);
  const flavorId = lastSegment(String(server.flavorRef));
  const imageId = await imageOf(request, flavorId);
  await assertKeypair(request);
  const wanted: CreateServers = {
    name: server.name,
    // Below 2.19 there is no description to give; the reference then takes the name.
    description: request.minor >= 19 ? (server.description ?? null) : server.name,
    imageId, flavorId, minCount, maxCount,
    networks: await networksOf(request),
    availabilityZone: zone, host,
    metadata: server.metadata ?? {}, tags: [...new Set(server.tags ?? [])], keyName: server.key_name ?? null, userData: server.user_data ?? null,
    configDrive: false, diskConfig: server['OS-DCF:diskConfig'] ?? 'MANUAL',
    hints: await hintsOf(request),
  };
  const made = await request.context.operations.create(request.caller, wanted);
  await addWhatOnlyTheApiKeeps(request, made.serverIds);
  if (truth(server.return_reservation_id)) return { status: 202, body: { reservation_id: made.reservationId } };
  const [first] = made.serverIds;
  if (first === undefined) throw new Error('a create made no server');
  const links = serverLinks(request as ComputeRequest<never>, first);
  return {
    status: 202,
    headers: { location: `${request.base}/servers/${first}` },
    body: {
      server: {
        id: first, links, 'OS-DCF:diskConfig': wanted.diskConfig, security_groups: [{ name: 'default' }], adminPass: server.adminPass ?? made.adminPass,
      },
    },
  };
}

/** Accepting these and leaving them undone would be a lie. */
function refuseWhatIsNotOffered(server: CreateServer['server']): void {
  if (truth(server.config_drive)) throw bad('A config drive is not offered by this cloud.');
  if ((server.personality ?? []).length > 0) throw bad('Personality files are not offered by this cloud: use user_data.');
  if ((server.trusted_image_certificates ?? []).length > 0) throw bad('Image certificate validation is not offered by this cloud.');
  if ((server.block_device_mapping ?? []).length > 0) throw bad('Block Device Mapping is Invalid: volumes are not offered by this cloud.');
  for (const device of server.block_device_mapping_v2 ?? []) {
    const isTheImage = device.source_type === 'image' && (device.destination_type ?? 'local') === 'local' && Number(device.boot_index ?? 0) === 0;
    if (!isTheImage) throw bad('Block Device Mapping is Invalid: only the local disk of the image is offered by this cloud.');
  }
  for (const group of server.security_groups ?? []) {
    if (group.name !== undefined && group.name !== 'default') throw bad(`Security group ${group.name} not found for the project: this cloud has the group default only.`);
  }
}

function counts(server: CreateServer['server']): { minCount: number; maxCount: number } {
  const minCount = Number(server.min_count ?? 1);
  const maxCount = Number(server.max_count ?? Math.max(minCount, 1));
  if (minCount > maxCount) throw bad('min_count must be <= max_count');
  return { minCount, maxCount };
}

/** The zone and the host that are asked for: `zone:host` by an admin, or 2.74's own properties. */
async function placement(request: ComputeRequest<CreateServer>): Promise<{ zone: string | null; host: string | null }> {
  const { server } = request.body;
  const { db } = request.context;
  const [zoneText = '', hostText, nodeText, ...rest] = (server.availability_zone ?? '').split(':');
  if (rest.length > 0) throw bad('Invalid availability zone: zone:host:node at most.');
  const inZone = hostText === undefined ? [] : [hostText, nodeText].filter((name) => name !== undefined && name !== '');
  if (hostText !== undefined) assertAllowed(request.caller, 'servers:create:forced_host');
  const asked = [server.host, server.hypervisor_hostname].filter((name) => name !== undefined);
  if (asked.length > 0) {
    assertAllowed(request.caller, 'compute:servers:create:requested_destination');
    if (inZone.length > 0) throw bad('Requested host, hypervisor_hostname and availability_zone with a host cannot be combined.');
  }
  const names = [...new Set([...inZone, ...asked])];
  if (names.length > 1) throw new GodwitError('NoValidHost', 'No valid host was found. A host and another hypervisor host name cannot both be met.');
  const host = names[0] ?? null;
  if (host !== null && (await db.selectFrom('host').select('id').where('name', '=', host).where('deleted_at', 'is', null).executeTakeFirst()) === undefined) {
    throw new GodwitError('HostNotFound', `Compute host ${host} could not be found.`);
  }
  const zone = zoneText === '' ? null : zoneText;
  if (zone !== null && !(await zoneExists(request, zone))) throw bad('The requested availability zone is not available');
  return { zone, host };
}

async function zoneExists(request: ComputeRequest<CreateServer>, zone: string): Promise<boolean> {
  const { rows } = await sql<{ found: boolean }>`select ${zone === 'nova'} or exists (select from aggregate a where a.deleted_at is null and a.metadata ->> 'availability_zone' = ${zone}) as found`
    .execute(request.context.db);
  return rows[0]?.found === true;
}

/** Flavor and image exist for this caller and fit one another. Bare metal needs no image. */
async function imageOf(request: ComputeRequest<CreateServer>, flavorId: string): Promise<string | null> {
  const { server } = request.body;
  const { db } = request.context;
  const flavor = await findFlavor(db, request.caller, flavorId);
  if (flavor === null || flavor.disabled) throw bad(`Flavor ${flavorId} could not be found.`);
  const named = server.imageRef ?? server.block_device_mapping_v2?.find((device) => typeof device.uuid === 'string')?.uuid ?? '';
  if (named === '') {
    if (requiredHypervisorType(flavor.extra_specs) === 'ironic') return null;
    throw bad('Invalid imageRef provided.');
  }
  const id = lastSegment(named);
  if (!/^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i.test(id)) throw bad('Invalid imageRef provided.');
  const image = await db.selectFrom('image').select(['id', 'status', 'owner', 'visibility', 'min_disk_gib', 'min_ram_mib', 'name']).where('id', '=', id).where('deleted_at', 'is', null).executeTakeFirst();
  const usable = image !== undefined && (request.caller.isAdmin || image.visibility === 'public' || image.visibility === 'community' || image.owner === request.caller.projectId);
  if (!usable) throw bad(`Image ${id} could not be found.`);
  if (image.status !== 'active') throw bad(`Image ${id} is not active.`);
  if (flavor.ram_mib < image.min_ram_mib) throw bad("Flavor's memory is too small for requested image.");
  if (flavor.disk_gib !== 0 && flavor.disk_gib < image.min_disk_gib) throw bad("Flavor's disk is smaller than the minimum size specified in image metadata.");
  return image.id;
}

async function assertKeypair(request: ComputeRequest<CreateServer>): Promise<void> {
  const name = request.body.server.key_name;
  if (name === undefined || name === null) return;
  const row = await request.context.db.selectFrom('keypair').select('name').where('user_id', '=', request.caller.userId).where('name', '=', name).executeTakeFirst();
  if (row === undefined) throw bad('Invalid key_name provided.');
}

async function networksOf(request: ComputeRequest<CreateServer>): Promise<CreateServers['networks']> {
  const { db } = request.context;
  const { caller } = request;
  const { networks } = request.body.server;
  // Below 2.37 nothing said means what `auto` says since.
  if (networks === undefined || networks === 'auto') return 'auto';
  if (networks === 'none') return 'none';
  if (networks.length === 0) return request.minor >= 37 ? 'none' : 'auto';
  const wanted: ({ networkId: string; fixedIp?: string } | { portId: string })[] = [];
  for (const network of networks) {
    if (network.port !== undefined && network.port !== null) {
      const port = await db.selectFrom('port').select(['id', 'project_id', 'server_id']).where('id', '=', network.port).executeTakeFirst();
      if (port === undefined || (!caller.isAdmin && port.project_id !== caller.projectId)) throw bad(`Port id ${network.port} could not be found.`);
      if (port.server_id !== null) throw new GodwitError('Conflict', `Port ${network.port} is still in use.`);
      if (network.fixed_ip !== undefined) throw bad(`Specified Fixed IP '${network.fixed_ip}' cannot be used with port '${network.port}': the two cannot be specified together.`);
      wanted.push({ portId: port.id });
    } else if (network.uuid !== undefined) {
      const found = await db.selectFrom('network').select(['id', 'project_id', 'shared']).where('id', '=', network.uuid).executeTakeFirst();
      if (found === undefined || (!caller.isAdmin && !found.shared && found.project_id !== caller.projectId)) throw bad(`Network ${network.uuid} could not be found.`);
      wanted.push({ networkId: found.id, ...(network.fixed_ip === undefined ? {} : { fixedIp: network.fixed_ip }) });
    } else {
      throw bad('Bad networks format: network uuid is not in proper format (None)');
    }
  }
  return wanted;
}

const hintNames: ReadonlySet<string> = new Set(['group', 'same_host', 'different_host']);

async function hintsOf(request: ComputeRequest<CreateServer>): Promise<CreateServers['hints']> {
  const hints: SchedulerHints = request.body['os:scheduler_hints'] ?? request.body['OS-SCH-HNT:scheduler_hints'] ?? {};
  const unknown = Object.keys(hints).find((name) => !hintNames.has(name));
  if (unknown !== undefined) throw bad(`The scheduler hint ${unknown.slice(0, 60)} is not offered by this cloud.`);
  const many = (value: string | readonly string[] | undefined): readonly string[] => (value === undefined ? [] : typeof value === 'string' ? [value] : value);
  if (hints.group !== undefined) {
    const { caller } = request;
    const group = await request.context.db.selectFrom('server_group').select('project_id').where('id', '=', hints.group).where('deleted_at', 'is', null).executeTakeFirst();
    if (group === undefined || (!caller.isAdmin && group.project_id !== caller.projectId)) throw bad(`Instance group ${hints.group} could not be found.`);
  }
  const same = many(hints.same_host);
  const different = many(hints.different_host);
  return { ...(hints.group === undefined ? {} : { group: hints.group }), ...(same.length > 0 ? { same_host: same } : {}), ...(different.length > 0 ? { different_host: different } : {}) };
}

async function addWhatOnlyTheApiKeeps(request: ComputeRequest<CreateServer>, ids: readonly string[]): Promise<void> {
  const { accessIPv4, accessIPv6, hostname } = request.body.server;
  const values = {
    ...(accessIPv4 === undefined || accessIPv4 === null || accessIPv4 === '' ? {} : { access_ip_v4: accessIPv4 }),
    ...(accessIPv6 === undefined || accessIPv6 === null || accessIPv6 === '' ? {} : { access_ip_v6: accessIPv6 }),
    ...(hostname === undefined ? {} : { hostname }),
  };
  if (Object.keys(values).length > 0 && ids.length > 0) await request.context.db.updateTable('server').set(values).where('id', 'in', ids).execute();
}

/** References may be whole URLs; the id is at their end. */
const lastSegment = (reference: string): string => reference.replace(/\/+$/, '').split('/').at(-1) ?? '';
