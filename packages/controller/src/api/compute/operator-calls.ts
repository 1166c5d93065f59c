import { always } from '@godwit/contract/schemas/closed';
import { AssistedSnapshotQuery } from '@godwit/contract/schemas/compute/queries';
import { AssistedSnapshot, ExternalEvents, ExternalEventsAnswer } from '@godwit/contract/schemas/compute/server-details';
import { GodwitError } from '@godwit/domain/errors';
import { assertAllowed } from '../../auth/policy.ts';
import { type Answer, type ComputeRequest, type ComputeRoute, param, route } from './route.ts';

/**
 * Events of other services about servers. Nothing here waits for one (networks and disks are this cloud's own, and the agents tell what guests do), so that an event is acknowledged when
 * its server is there, and that is all.
 */
async function externalEvents(request: ComputeRequest<ExternalEvents>): Promise<Answer> {
  const { caller, context, body } = request;
  assertAllowed(caller, 'os-server-external-events:create');
  const ids = body.events.map((event) => canonical(event.server_uuid));
  const servers = await context.db
    .selectFrom('server')
    .select(['id', 'host_id'])
    .where('id', 'in', ids)
    .where('deleted_at', 'is', null)
    .execute();
  if (servers.length === 0) throw new GodwitError('NotFound', 'No instances found for any event');
  const events = body.events.map((event, index) => {
    const server = servers.find(({ id }) => id === ids[index]);
    if (server === undefined) return { ...event, status: 'failed', code: 404 };
    // 422: it is on no host yet, which is all that the event could be for.
    if (server.host_id === null) return { ...event, status: 'failed', code: 422 };
    return { ...event, status: event.status ?? 'completed', code: 200 };
  });
  return { status: events.every(({ code }) => code === 200) ? 200 : 207, body: { events } };
}

/** With dashes, as the database has ids. */
const canonical = (id: string): string => {
  const hex = id.replaceAll('-', '').toLowerCase();
  return `${hex.slice(0, 8)}-${hex.slice(8, 12)}-${hex.slice(12, 16)}-${hex.slice(16, 20)}-${hex.slice(20)}`;
};

export const operatorRoutes: readonly ComputeRoute[] = [
  route('POST', '/os-server-external-events', { body: ExternalEvents, response: ExternalEventsAnswer, handle: externalEvents }),
  route('POST', '/os-assisted-volume-snapshots', {
    body: always(AssistedSnapshot),
    response: () => null,
    handle: async (request: ComputeRequest<AssistedSnapshot>) => {
      assertAllowed(request.caller, 'os-assisted-volume-snapshots:create');
      throw new GodwitError('BadRequest', `No volume Block Device Mapping with id ${request.body.snapshot.volume_id}.`);
    },
  }),
  route('DELETE', '/os-assisted-volume-snapshots/:snapshot', {
    query: AssistedSnapshotQuery,
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-assisted-volume-snapshots:delete');
      throw new GodwitError(
        'NotFound',
        `Snapshot ${param(request, 'snapshot').slice(0, 120)} could not be found: this cloud has no volume service.`,
      );
    },
  }),
  route('GET', '/os-console-auth-tokens/:token', {
    min: 31,
    response: () => null,
    handle: async (request) => {
      assertAllowed(request.caller, 'os-console-auth-tokens');
      // Consoles are served by the controller itself: no proxy has to ask where one is.
      throw new GodwitError('NotFound', 'Token not found');
    },
  }),
  ...(['/os-baremetal-nodes', '/os-baremetal-nodes/:node'] as const).map((path) =>
    route('GET', path, {
      max: 35,
      response: () => null,
      handle: async (request) => {
        assertAllowed(request.caller, path === '/os-baremetal-nodes' ? 'os-baremetal-nodes:list' : 'os-baremetal-nodes:show');
        throw new GodwitError('NotImplemented', 'This cloud has no bare metal service; its bare metal hosts are hypervisors.');
      },
    }),
  ),
];
