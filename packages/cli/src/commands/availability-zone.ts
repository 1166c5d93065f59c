import type { Cloud } from '../cloud/cloud.ts';
import { HttpError } from '../cloud/http.ts';
import type { Command } from '../command.ts';
import { isObject, type JsonObject, objectAt, objectsAt, textAt } from '../json.ts';
import type { Cell } from '../render/cell.ts';

export const commands: readonly Command[] = [
  {
    words: 'availability zone list',
    summary: 'List availability zones and their status',
    options: [
      { flags: '--compute', description: 'compute zones (the only ones there are)' },
      { flags: '--long', description: 'list additional fields (admin only)' },
    ],
    output: 'list',
    run: async (cloud, input) => {
      const zones = await zonesOf(cloud);
      if (!input.flag('long'))
        return { columns: ['Zone Name', 'Zone Status'], rows: zones.map((zone) => [textAt(zone, 'zoneName'), statusOf(zone)]) };
      return {
        columns: ['Zone Name', 'Zone Status', 'Zone Resource', 'Host Name', 'Service Name', 'Service Status'],
        rows: zones.flatMap(longRows),
      };
    },
  },
];

/** Who may not see the hosts is told the zones alone. */
async function zonesOf(cloud: Cloud): Promise<readonly JsonObject[]> {
  const compute = await cloud.compute();
  try {
    return objectsAt(await compute.get('/os-availability-zone/detail'), 'availabilityZoneInfo');
  } catch (error) {
    if (!(error instanceof HttpError) || error.status !== 403) throw error;
    return objectsAt(await compute.get('/os-availability-zone'), 'availabilityZoneInfo');
  }
}

const statusOf = (zone: JsonObject): string => (objectAt(zone, 'zoneState').available === true ? 'available' : 'not available');

/** How the `openstack` command marks a service that is not heard from. */
const unreachable = 'X'.repeat(3);

function longRows(zone: JsonObject): readonly (readonly Cell[])[] {
  const start = [textAt(zone, 'zoneName'), statusOf(zone), ''];
  const hosts = objectAt(zone, 'hosts');
  const rows = Object.entries(hosts).flatMap(([host, services]) =>
    isObject(services)
      ? Object.entries(services).map(([service, state]) => {
          const told = isObject(state) ? state : {};
          const status = `${told.active === true ? 'enabled' : 'disabled'} ${told.available === true ? ':-)' : unreachable} ${textAt(told, 'updated_at') || 'None'}`;
          return [...start, host, service, status];
        })
      : [],
  );
  return rows.length === 0 ? [[...start, '', '', '']] : rows;
}
