import { isIP } from 'node:net';
import { AttachInterface, InterfaceAnswer, InterfacesAnswer } from '@godwit/contract/schemas/compute/interfaces';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { assertAllowed } from '../../auth/policy.ts';
import type { FixedIpColumn } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { type ServerRow, serverFor } from './server-rows.ts';

type PortRow = {
  readonly id: string;
  readonly network_id: string;
  readonly mac: string;
  readonly status: string;
  readonly admin_state_up: boolean;
  readonly fixed_ips: readonly FixedIpColumn[];
  readonly tag: string | null;
};

const portsOf = (db: Db, server: ServerRow): Promise<readonly PortRow[]> =>
  db
    .selectFrom('port')
    .select(['id', 'network_id', 'mac', 'status', 'admin_state_up', 'fixed_ips', 'tag'])
    .where('server_id', '=', server.id)
    .orderBy('device_index')
    .execute();

const view = (port: PortRow, minor: number): object => ({
  port_id: port.id,
  net_id: port.network_id,
  mac_addr: port.mac,
  port_state: port.admin_state_up ? port.status : 'DOWN',
  fixed_ips: port.fixed_ips.map((ip) => ({ subnet_id: ip.subnetId, ip_address: ip.address })),
  ...(minor >= 70 ? { tag: port.tag } : {}),
});

async function oneOf({ context, minor }: ComputeRequest<never>, server: ServerRow, portId: string): Promise<object> {
  const port = (await portsOf(context.db, server)).find(({ id }) => id === portId);
  if (port === undefined) throw new GodwitError('NotFound', `Instance ${server.id} does not have a port with id ${portId.slice(0, 120)}`);
  return { interfaceAttachment: view(port, minor) };
}

/** Between two looks at whether the guest has it. */
const LOOK_EVERY_MS = 60;
/** The workflow gives up on a host that does not answer after a minute. */
const WAIT_MS = 150_000;

/** The answer comes when the guest has the interface, as the reference's does. */
async function attach(request: ComputeRequest<AttachInterface>): Promise<Answer> {
  const server = await serverFor(request as ComputeRequest<never>, 'attach-interface');
  const { net_id: networkId, port_id: portId, fixed_ips, tag } = request.body.interfaceAttachment ?? {};
  const fixedIp = fixed_ips?.[0]?.ip_address;
  if (networkId !== undefined && portId !== undefined) throw new GodwitError('BadRequest', 'Must not input both network_id and port_id');
  if (fixedIp !== undefined && networkId === undefined)
    throw new GodwitError('BadRequest', 'Must input network_id when request IP address');
  if (fixedIp !== undefined && isIP(fixedIp) === 0)
    throw new GodwitError('BadRequest', `failed to detect a valid IP address from '${fixedIp}'`);
  const { context, caller } = request;
  const accepted = await context.operations.attachInterface(caller, as<ServerId>(server.id), {
    ...(networkId === undefined ? {} : { networkId }),
    ...(portId === undefined ? {} : { portId }),
    ...(fixedIp === undefined ? {} : { fixedIp }),
    ...(tag === undefined ? {} : { tag }),
  });
  const why = await untilAttached(context.db, accepted.actionId);
  if (why !== null)
    throw new GodwitError(
      'InterfaceAttachFailed',
      `Failed to attach network adapter device to ${server.id}${caller.isAdmin ? `: ${why}` : ''}`,
    );
  return { status: 200, body: await oneOf(request as ComputeRequest<never>, server, accepted.portId) };
}

/** Null when it is attached, else why it is not. */
async function untilAttached(db: Db, actionId: number): Promise<string | null> {
  for (const until = Date.now() + WAIT_MS; Date.now() < until; ) {
    const event = await db
      .selectFrom('instance_action_event')
      .select(['result', 'details'])
      .where('action_id', '=', actionId)
      .where('event', '=', 'compute_attach_interface')
      .where('finish_time', 'is not', null)
      .executeTakeFirst();
    if (event !== undefined) return event.result === 'Success' ? null : (event.details ?? 'the cause was not told');
    await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
  }
  return 'it is not attached yet: the events of the server tell how it ends';
}

export const interfaceRoutes: readonly ComputeRoute[] = [
  route('GET', '/servers/:server/os-interface', {
    response: InterfacesAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-attach-interfaces:list');
      const server = await serverFor(request, 'show');
      const interfaceAttachments = (await portsOf(request.context.db, server)).map((port) => view(port, request.minor));
      return { status: 200, body: { interfaceAttachments } };
    },
  }),
  route('POST', '/servers/:server/os-interface', { body: AttachInterface, response: InterfaceAnswer, handle: attach }),
  route('GET', '/servers/:server/os-interface/:port', {
    response: InterfaceAnswer,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-attach-interfaces:show');
      return { status: 200, body: await oneOf(request, await serverFor(request, 'show'), param(request, 'port')) };
    },
  }),
  route('DELETE', '/servers/:server/os-interface/:port', {
    response: () => null,
    handle: async (request) => {
      const server = await serverFor(request, 'detach-interface');
      await request.context.operations.detachInterface(request.caller, as<ServerId>(server.id), param(request, 'port'));
      return { status: 202 };
    },
  }),
];
