import { isIP } from 'node:net';
import { AttachInterface, InterfaceAnswer, InterfacesAnswer } from '@godwit/contract/schemas/compute/interfaces';
import { GodwitError } from '@godwit/domain/errors';
import { as, type ServerId } from '@godwit/domain/ids';
import { assertAllowed } from '../../auth/policy.ts';
import type { FixedIpColumn } from '../../store/core-tables.ts';
import type { Db } from '../../store/database.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';
import { type ServerRow, serverFor, serverNotFound } from './server-rows.ts';

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
/** The workflow gives up on a host that does not answer after a minute; its last call, and what undoes it, take one and a half. */
const WAIT_MS = 160_000;
/** A guest that runs gives an interface up within seconds, or does not answer at all. */
const TURN_MS = 20_000;

/**
 * One change of interfaces follows another, as in the reference: what is asked while the server is at one waits for its end (clients take a network away port by port, and do not look between). Throws
 * what `accept` throws for any other reason, and for this one when it has not ended in time.
 */
async function inTurn<T>(accept: () => Promise<T>): Promise<T> {
  for (const until = Date.now() + TURN_MS; ; ) {
    try {
      return await accept();
    } catch (error) {
      const isBusy = error instanceof GodwitError && error.code === 'InvalidState' && error.message.endsWith('task_state networking');
      if (!isBusy || Date.now() > until) throw error;
      await new Promise((resolve) => setTimeout(resolve, LOOK_EVERY_MS));
    }
  }
}

/** The answer comes when the guest has the interface, as the reference's does. */
async function attach(request: ComputeRequest<AttachInterface>): Promise<Answer> {
  const server = await inTurn(() => serverFor(request as ComputeRequest<never>, 'attach-interface'));
  const { net_id: networkId, port_id: portId, fixed_ips, tag } = request.body.interfaceAttachment ?? {};
  const fixedIp = fixed_ips?.[0]?.ip_address;
  if (networkId !== undefined && portId !== undefined) throw new GodwitError('BadRequest', 'Must not input both network_id and port_id');
  if (fixedIp !== undefined && networkId === undefined)
    throw new GodwitError('BadRequest', 'Must input network_id when request IP address');
  if (fixedIp !== undefined && isIP(fixedIp) === 0)
    throw new GodwitError('BadRequest', `failed to detect a valid IP address from '${fixedIp}'`);
  const { context, caller } = request;
  const wanted = {
    ...(networkId === undefined ? {} : { networkId }),
    ...(portId === undefined ? {} : { portId }),
    ...(fixedIp === undefined ? {} : { fixedIp }),
    ...(tag === undefined ? {} : { tag }),
  };
  const accepted = await inTurn(() => context.operations.attachInterface(caller, as<ServerId>(server.id), wanted));
  const why = await untilAttached(context.db, server.id, accepted.actionId);
  if (why === null) return { status: 200, body: await oneOf(request as ComputeRequest<never>, server, accepted.portId) };
  // It has the port still: nobody knows what its guest has.
  const kept = (await portsOf(context.db, server)).some(({ id }) => id === accepted.portId);
  throw new GodwitError(
    'InterfaceAttachFailed',
    (kept
      ? `It is not known whether the network adapter device was attached to ${server.id}: port ${accepted.portId} stays the server's; detach it to give it up`
      : `Failed to attach network adapter device to ${server.id}`) + (caller.isAdmin ? `: ${why}` : ''),
  );
}

/** Null when it is attached, else why it is not, or why nobody knows. Throws ServerNotFound when the server is deleted meanwhile, InvalidState when another task has it. */
async function untilAttached(db: Db, serverId: string, actionId: number): Promise<string | null> {
  for (const until = Date.now() + WAIT_MS; Date.now() < until; ) {
    // One statement: the event is finished in the transaction that ends the task.
    const now = await db
      .selectFrom('server')
      .leftJoin('instance_action_event as event', (join) =>
        join
          .on('event.action_id', '=', actionId)
          .on('event.event', '=', 'compute_attach_interface')
          .on('event.finish_time', 'is not', null),
      )
      .select(['server.deleted_at', 'server.task_state', 'event.result', 'event.details'])
      .where('server.id', '=', serverId)
      .executeTakeFirst();
    if (now?.result === 'Success') return null;
    if (now === undefined || now.deleted_at !== null) throw serverNotFound(serverId);
    const ended = now.result !== null;
    if (now.task_state === 'deleting' || (!ended && now.task_state !== 'networking'))
      throw new GodwitError(
        'InvalidState',
        `Cannot 'attach_interface' instance ${serverId} while it is in task_state ${now.task_state ?? 'None'}`,
      );
    if (ended) return now.details ?? 'the cause was not told';
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
      await inTurn(async () => {
        const server = await serverFor(request, 'detach-interface');
        await request.context.operations.detachInterface(request.caller, as<ServerId>(server.id), param(request, 'port'));
      });
      return { status: 202 };
    },
  }),
];
