import { always } from '@godwit/contract/schemas/closed';
import { ServicesQuery } from '@godwit/contract/schemas/compute/queries';
import {
  DisableServiceWithReason,
  EnableService,
  ForceServiceDown,
  type NamedService,
  NamedServiceAnswer,
  type Service,
  ServiceAnswer,
  ServiceListAnswer,
  UpdateService,
} from '@godwit/contract/schemas/compute/services';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../../auth/policy.ts';
import { deleteHost } from '../../../hosts/delete-host.ts';
import { type HostSwitches, switchHost } from '../../../hosts/switch-host.ts';
import type { Db } from '../../../store/database.ts';
import { one } from '../../query.ts';
import { microTime } from '../../time-format.ts';
import { truth } from '../boolean.ts';
import { type ComputeRequest, param, route } from '../route.ts';
import { controllerBinary, controllerServices, internalZone } from './controller-services.ts';
import { type HostRow, hostRows, stateOf, statusOf } from './host-rows.ts';

export const computeBinary = 'nova-compute';
const uuid = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

function hostService(host: HostRow, minor: number): Service {
  return {
    id: minor >= 53 ? host.service_id : host.api_id,
    binary: computeBinary,
    host: host.name,
    zone: host.zone,
    status: statusOf(host),
    state: stateOf(host),
    updated_at: host.last_seen_at === null ? null : microTime(host.last_seen_at),
    disabled_reason: host.disabled_reason,
    ...(minor >= 11 ? { forced_down: host.forced_down } : {}),
  };
}

async function allServices(db: Db, minor: number): Promise<readonly Service[]> {
  const [hosts, controllers] = await Promise.all([hostRows(db).execute(), controllerServices(db)]);
  return [
    ...controllers.map(
      (controller): Service => ({
        id: minor >= 53 ? controller.serviceId : controller.apiId,
        binary: controllerBinary,
        host: controller.name,
        zone: internalZone,
        status: 'enabled',
        state: controller.up ? 'up' : 'down',
        updated_at: microTime(controller.heartbeatAt),
        disabled_reason: null,
        ...(minor >= 11 ? { forced_down: false } : {}),
      }),
    ),
    ...hosts.map((host) => hostService(host, minor)),
  ];
}

async function list(request: ComputeRequest<never>) {
  assertAllowed(request.caller, 'os-services:list');
  const [host, binary] = [one(request.query, 'host'), one(request.query, 'binary')];
  const services = (await allServices(request.context.db, request.minor)).filter(
    (service) => (host === null || service.host === host) && (binary === null || service.binary === binary),
  );
  return { status: 200, body: { services } };
}

/** Below 2.53: the service is named in the body. Answers only what was changed. */
async function changeNamed(request: ComputeRequest<NamedService>, switches: HostSwitches, answer: object) {
  assertAllowed(request.caller, 'os-services:update');
  const { host, binary } = request.body;
  const row = await hostRows(request.context.db).where('host.name', '=', host).executeTakeFirst();
  if (row === undefined || binary !== computeBinary) throw new GodwitError('NotFound', `Could not find binary ${binary} on host ${host}.`);
  await switchHost(request.context.db, row.id, switches);
  return { status: 200, body: { service: { host, binary, ...answer } } };
}

async function change(request: ComputeRequest<UpdateService>) {
  assertAllowed(request.caller, 'os-services:update');
  const { db } = request.context;
  const id = param(request, 'service');
  const { status, disabled_reason: reason, forced_down: forcedDown } = request.body;
  if (!uuid.test(id)) throw new GodwitError('BadRequest', `Invalid uuid ${id}`);
  const row = await hostRows(db).where('host.service_id', '=', id.toLowerCase()).executeTakeFirst();
  if (row === undefined) {
    if ((await controllerServices(db)).some((controller) => controller.serviceId === id.toLowerCase())) {
      throw new GodwitError(
        'BadRequest',
        `Updating a ${controllerBinary} service is not supported. Only ${computeBinary} services can be updated.`,
      );
    }
    throw new GodwitError('NotFound', `Service ${id} not found.`);
  }
  if (reason !== undefined && status !== 'disabled')
    throw new GodwitError('BadRequest', "Specifying 'disabled_reason' when status is 'enabled' is invalid.");
  if (status === undefined && forcedDown === undefined)
    throw new GodwitError('BadRequest', "No updates were requested. Fields 'status' or 'forced_down' should be specified.");
  await switchHost(db, row.id, {
    ...(status === undefined ? {} : status === 'enabled' ? { enabled: true } : { enabled: false, reason: reason ?? null }),
    ...(forcedDown === undefined ? {} : { forcedDown: truth(forcedDown) }),
  });
  const changed = await hostRows(db).where('host.id', '=', row.id).executeTakeFirst();
  if (changed === undefined) throw new GodwitError('NotFound', `Service ${id} not found.`);
  return { status: 200, body: { service: hostService(changed, request.minor) } };
}

async function remove(request: ComputeRequest<never>) {
  assertAllowed(request.caller, 'os-services:delete');
  const { db } = request.context;
  const id = param(request, 'service');
  const wellFormed = request.minor >= 53 ? uuid.test(id) : /^\d{1,9}$/.test(id);
  if (!wellFormed)
    throw new GodwitError(
      'BadRequest',
      request.minor >= 53 ? `Invalid uuid ${id}` : `Invalid input for service_id. Value: ${id.slice(0, 60)}. must be an integer`,
    );
  const row = await hostRows(db)
    .where((eb) => (request.minor >= 53 ? eb('host.service_id', '=', id.toLowerCase()) : eb('host.api_id', '=', Number(id))))
    .executeTakeFirst();
  if (row === undefined) throw new GodwitError('NotFound', `Service ${id} not found.`);
  await deleteHost(db, row.id);
  return { status: 204 };
}

/** From 2.53 on these words stand where a service's id does, and are none. */
const wordAsId = (word: string) => ({
  min: 53,
  body: always(UpdateService),
  handle: async (request: ComputeRequest<UpdateService>) => {
    assertAllowed(request.caller, 'os-services:update');
    throw new GodwitError('BadRequest', `Invalid uuid ${word}`);
  },
});

export const serviceRoutes = [
  route('GET', '/os-services', { query: ServicesQuery, response: ServiceListAnswer, handle: list }),
  route(
    'PUT',
    '/os-services/enable',
    {
      max: 52,
      body: always(EnableService),
      response: always(NamedServiceAnswer),
      handle: (request: ComputeRequest<NamedService>) => changeNamed(request, { enabled: true }, { status: 'enabled' }),
    },
    wordAsId('enable'),
  ),
  route(
    'PUT',
    '/os-services/disable',
    {
      max: 52,
      body: always(EnableService),
      response: always(NamedServiceAnswer),
      handle: (request: ComputeRequest<NamedService>) => changeNamed(request, { enabled: false, reason: null }, { status: 'disabled' }),
    },
    wordAsId('disable'),
  ),
  route(
    'PUT',
    '/os-services/disable-log-reason',
    {
      max: 52,
      body: always(DisableServiceWithReason),
      response: always(NamedServiceAnswer),
      handle: (request: ComputeRequest<NamedService>) =>
        changeNamed(
          request,
          { enabled: false, reason: request.body.disabled_reason ?? null },
          { status: 'disabled', disabled_reason: request.body.disabled_reason },
        ),
    },
    wordAsId('disable-log-reason'),
  ),
  route(
    'PUT',
    '/os-services/force-down',
    {
      min: 11,
      max: 52,
      body: always(ForceServiceDown),
      response: always(NamedServiceAnswer),
      handle: (request: ComputeRequest<NamedService>) => {
        const forcedDown = truth(request.body.forced_down);
        return changeNamed(request, { forcedDown }, { forced_down: forcedDown });
      },
    },
    wordAsId('force-down'),
  ),
  route('PUT', '/os-services/:service', { min: 53, body: always(UpdateService), response: ServiceAnswer, handle: change }),
  route('DELETE', '/os-services/:service', { response: () => null, handle: remove }),
];
