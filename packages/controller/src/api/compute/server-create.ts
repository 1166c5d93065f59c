import type { CreateServer, SchedulerHints } from '@godwit/contract/schemas/compute/server-requests';
import { GodwitError } from '@godwit/domain/errors';
import { sql, type Updateable } from 'kysely';
import { assertAllowed } from '../../auth/policy.ts';
import type { ServerTable } from '../../store/core-tables.ts';
import type { CreateServers } from '../../workflows/operations.ts';
import { visibleImages } from '../image/image-access.ts';
import { accessIp } from './access-ip.ts';
import { truth } from './boolean.ts';
import type { Answer, ComputeRequest } from './route.ts';
import { isUuid } from './server-rows.ts';
import { serverLinks } from './server-view.ts';

const bad = (message: string): GodwitError => new GodwitError('BadRequest', message);

/** `POST /servers`: what is wrong with the request as such is refused here, what is wrong with what it names by `operations.create`, and where it fits is found after the answer. */
export async function createServers(request: ComputeRequest<CreateServer>): Promise<Answer> {
  assertAllowed(request.caller, 'servers:create');
  const { server } = request.body;
  refuseWhatIsNotOffered(server);
  const { minCount, maxCount } = counts(server);
  if (server.hostname !== undefined && maxCount > 1) throw bad('A hostname can only be given for a single server.');
  if (maxCount > 1) refuseForMany(server.networks);
  const ours = whatOnlyTheApiKeeps(server);
  const { zone, host } = await placement(request);
  const flavorId = lastSegment(String(server.flavorRef));
  const imageId = await imageOf(request);
  await assertKeypair(request as ComputeRequest<never>, server.key_name);
  const securityGroups = [...new Set((server.security_groups ?? []).map(({ name }) => name ?? 'default'))];
  const wanted: CreateServers = {
    name: server.name,
    // Below 2.19 there is no description to give; the reference then takes the name.
    description: request.minor >= 19 ? (server.description ?? null) : server.name,
    imageId,
    flavorId,
    minCount,
    maxCount,
    networks: networksOf(request),
    availabilityZone: zone,
    host,
    metadata: server.metadata ?? {},
    tags: [...new Set(server.tags ?? [])],
    keyName: server.key_name ?? null,
    userData: server.user_data ?? null,
    configDrive: truth(server.config_drive),
    ...(ours.hostname === undefined ? {} : { hostname: ours.hostname }),
    diskConfig: server['OS-DCF:diskConfig'] ?? 'MANUAL',
    hints: hintsOf(request.body),
    ...(server.security_groups === undefined ? {} : { securityGroups }),
  };
  const made = await request.context.operations.create(request.caller, wanted);
  if (Object.keys(ours).length > 0) await request.context.db.updateTable('server').set(ours).where('id', 'in', made.serverIds).execute();
  if (truth(server.return_reservation_id)) return { status: 202, body: { reservation_id: made.reservationId } };
  const [first] = made.serverIds;
  if (first === undefined) throw new Error('a create made no server');
  const links = serverLinks(request as ComputeRequest<never>, first);
  return {
    status: 202,
    headers: { location: `${request.base}/servers/${first}` },
    body: {
      server: {
        id: first,
        links,
        'OS-DCF:diskConfig': wanted.diskConfig,
        security_groups: (server.security_groups === undefined ? ['default'] : securityGroups).map((name) => ({ name })),
        adminPass: server.adminPass ?? made.adminPass,
      },
    },
  };
}

/** Accepting these and leaving them undone would be a lie. */
function refuseWhatIsNotOffered(server: CreateServer['server']): void {
  if ((server.personality ?? []).length > 0) throw bad('Personality files are not offered by this cloud: use user_data.');
  if ((server.trusted_image_certificates ?? []).length > 0) throw bad('Image certificate validation is not offered by this cloud.');
  if ((server.block_device_mapping ?? []).length > 0) throw bad('Block Device Mapping is Invalid: volumes are not offered by this cloud.');
  for (const device of server.block_device_mapping_v2 ?? []) {
    const isTheImage =
      device.source_type === 'image' && (device.destination_type ?? 'local') === 'local' && Number(device.boot_index ?? 0) === 0;
    if (!isTheImage) throw bad('Block Device Mapping is Invalid: only the local disk of the image is offered by this cloud.');
  }
}

function counts(server: CreateServer['server']): { minCount: number; maxCount: number } {
  const minCount = Number(server.min_count ?? 1);
  const maxCount = Number(server.max_count ?? Math.max(minCount, 1));
  if (minCount > maxCount) throw bad('min_count must be <= max_count');
  return { minCount, maxCount };
}

/** What only one server can have. */
function refuseForMany(networks: CreateServer['server']['networks']): void {
  if (networks === undefined || typeof networks === 'string') return;
  if (networks.some(({ port }) => port !== undefined && port !== null))
    throw bad(
      'Failed to launch instances: Unable to launch multiple instances with a single configured port ID. Please launch your instance one by one with different ports.',
    );
  if (networks.some(({ fixed_ip }) => fixed_ip !== undefined))
    throw bad('Failed to launch instances: max_count cannot be greater than 1 if an fixed_ip is specified.');
}

/** The zone and the host that are asked for: `zone:host` by an admin, or 2.74's own properties. */
async function placement(request: ComputeRequest<CreateServer>): Promise<{ zone: string | null; host: string | null }> {
  const { server } = request.body;
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
  if (names.length > 1)
    throw new GodwitError('NoValidHost', 'No valid host was found. A host and another hypervisor host name cannot both be met.');
  const zone = zoneText === '' ? null : zoneText;
  if (zone !== null && !(await zoneExists(request, zone))) throw bad('The requested availability zone is not available');
  return { zone, host: names[0] ?? null };
}

async function zoneExists(request: ComputeRequest<CreateServer>, zone: string): Promise<boolean> {
  const { rows } = await sql<{
    found: boolean;
  }>`select ${zone === 'nova'} or exists (select from aggregate a where a.deleted_at is null and a.metadata ->> 'availability_zone' = ${zone}) as found`.execute(
    request.context.db,
  );
  return rows[0]?.found === true;
}

/** The image that is named, if this caller may see it. What it has to be (active, bootable, not too large) is checked where the server is made. */
async function imageOf(request: ComputeRequest<CreateServer>): Promise<string | null> {
  const { server } = request.body;
  const named = server.imageRef ?? server.block_device_mapping_v2?.find((device) => typeof device.uuid === 'string')?.uuid ?? '';
  return named === '' ? null : visibleImage(request as ComputeRequest<never>, named);
}

/** The id of the image that is named, if this caller may see it. Throws BadRequest. */
export async function visibleImage({ caller, context }: ComputeRequest<never>, named: string): Promise<string> {
  const id = lastSegment(named);
  if (!isUuid(id)) throw bad('Invalid imageRef provided.');
  const image = await context.db
    .selectFrom('image')
    .select('id')
    .where('id', '=', id)
    .where('deleted_at', 'is', null)
    .where(visibleImages(caller))
    .executeTakeFirst();
  if (image === undefined) throw bad(`Image ${id} could not be found.`);
  return image.id;
}

/** Throws BadRequest unless the caller has the key pair that is named, if one is. */
export async function assertKeypair(request: ComputeRequest<never>, name: string | null | undefined): Promise<void> {
  if (name === undefined || name === null) return;
  const row = await request.context.db
    .selectFrom('keypair')
    .select('name')
    .where('user_id', '=', request.caller.userId)
    .where('name', '=', name)
    .executeTakeFirst();
  if (row === undefined) throw bad('Invalid key_name provided.');
}

function networksOf(request: ComputeRequest<CreateServer>): CreateServers['networks'] {
  const { networks } = request.body.server;
  // Below 2.37 nothing said means what `auto` says since.
  if (networks === undefined || networks === 'auto') return 'auto';
  if (networks === 'none') return 'none';
  if (networks.length === 0) return request.minor >= 37 ? 'none' : 'auto';
  return networks.map(({ port, uuid, fixed_ip }) => {
    if (port !== undefined && port !== null) {
      if (fixed_ip !== undefined)
        throw bad(`Specified Fixed IP '${fixed_ip}' cannot be used with port '${port}': the two cannot be specified together.`);
      return { portId: port };
    }
    if (uuid === undefined) throw bad('Bad networks format: network uuid is not in proper format (None)');
    return { networkId: uuid, ...(fixed_ip === undefined ? {} : { fixedIp: fixed_ip }) };
  });
}

const hintNames: ReadonlySet<string> = new Set(['group', 'same_host', 'different_host']);

function hintsOf(body: CreateServer): CreateServers['hints'] {
  const hints: SchedulerHints = body['os:scheduler_hints'] ?? body['OS-SCH-HNT:scheduler_hints'] ?? {};
  const unknown = Object.keys(hints).find((name) => !hintNames.has(name));
  if (unknown !== undefined) throw bad(`The scheduler hint ${unknown.slice(0, 60)} is not offered by this cloud.`);
  const many = (value: string | readonly string[] | undefined): readonly string[] =>
    value === undefined ? [] : typeof value === 'string' ? [value] : value;
  const same = many(hints.same_host);
  const different = many(hints.different_host);
  return {
    ...(hints.group === undefined ? {} : { group: hints.group }),
    ...(same.length > 0 ? { same_host: same } : {}),
    ...(different.length > 0 ? { different_host: different } : {}),
  };
}

/** Checked before anything is made. */
export function whatOnlyTheApiKeeps({
  accessIPv4,
  accessIPv6,
  hostname,
}: Pick<CreateServer['server'], 'accessIPv4' | 'accessIPv6' | 'hostname'>): Pick<
  Updateable<ServerTable>,
  'access_ip_v4' | 'access_ip_v6' | 'hostname'
> {
  return {
    ...(accessIPv4 === undefined ? {} : { access_ip_v4: accessIp('accessIPv4', accessIPv4) }),
    ...(accessIPv6 === undefined ? {} : { access_ip_v6: accessIp('accessIPv6', accessIPv6) }),
    ...(hostname === undefined ? {} : { hostname }),
  };
}

/** References may be whole URLs; the id is at their end. */
const lastSegment = (reference: string): string => reference.replace(/\/+$/, '').split('/').at(-1) ?? '';
