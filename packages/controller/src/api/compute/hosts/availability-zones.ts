import { always } from '@godwit/contract/schemas/closed';
import { ZoneDetailAnswer, ZoneListAnswer } from '@godwit/contract/schemas/compute/services';
import { assertAllowed } from '../../../auth/policy.ts';
import { microTime } from '../../time-format.ts';
import { route } from '../route.ts';
import { controllerBinary, controllerServices, internalZone } from './controller-services.ts';
import { type HostRow, hostRows, stateOf } from './host-rows.ts';
import { computeBinary } from './services.ts';

/** A zone is available while one of its hosts is enabled. */
const zonesOf = (hosts: readonly HostRow[]) =>
  [...Map.groupBy(hosts, (host) => host.zone)]
    .toSorted(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, members]) => ({ name, members, available: members.some((host) => host.enabled) }));

export const availabilityZoneRoutes = [
  route('GET', '/os-availability-zone', {
    response: always(ZoneListAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-availability-zone:list');
      const zones = zonesOf(await hostRows(request.context.db).execute());
      return {
        status: 200,
        body: { availabilityZoneInfo: zones.map(({ name, available }) => ({ zoneName: name, zoneState: { available }, hosts: null })) },
      };
    },
  }),
  route('GET', '/os-availability-zone/detail', {
    response: always(ZoneDetailAnswer),
    handle: async (request) => {
      assertAllowed(request.caller, 'os-availability-zone:detail');
      const { db } = request.context;
      const [hosts, controllers] = await Promise.all([hostRows(db).execute(), controllerServices(db)]);
      const internal = Object.fromEntries(
        controllers.map(({ name, up, heartbeatAt }) => [
          name,
          { [controllerBinary]: { available: up, active: true, updated_at: microTime(heartbeatAt) } },
        ]),
      );
      return {
        status: 200,
        body: {
          availabilityZoneInfo: [
            { zoneName: internalZone, zoneState: { available: true }, hosts: internal },
            ...zonesOf(hosts).map(({ name, members, available }) => ({
              zoneName: name,
              zoneState: { available },
              hosts: Object.fromEntries(
                members.map((host) => [
                  host.name,
                  {
                    [computeBinary]: {
                      available: stateOf(host) === 'up',
                      active: host.enabled,
                      updated_at: host.last_seen_at === null ? null : microTime(host.last_seen_at),
                    },
                  },
                ]),
              ),
            })),
          ],
        },
      };
    },
  }),
];
