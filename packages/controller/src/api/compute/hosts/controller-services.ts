import { createHash } from 'node:crypto';
import { sql } from 'kysely';
import type { Db } from '../../../store/database.ts';

/** Not a compute host: a controller. Shown as what it is to a compute API's clients, in the zone that no server can be put in. */
export const controllerBinary = 'nova-conductor';
export const internalZone = 'internal';

/** A controller without a heartbeat for so long is shown as down. */
const downAfterSeconds = 15;
/** One that was not heard of for so long was taken away: its name may have held a process id. */
const forgottenAfterHours = 1;

export type ControllerService = {
  readonly apiId: number;
  readonly serviceId: string;
  readonly name: string;
  readonly up: boolean;
  readonly heartbeatAt: Date;
};

/** One service per controller name; a controller that restarts keeps it. */
export async function controllerServices(db: Db): Promise<readonly ControllerService[]> {
  const rows = await db
    .selectFrom('executor')
    .select([
      'name',
      sql<Date>`max(heartbeat_at)`.as('heartbeat_at'),
      sql<boolean>`max(heartbeat_at) > now() - ${downAfterSeconds} * interval '1 second'`.as('up'),
    ])
    .where('heartbeat_at', '>', sql<Date>`now() - ${forgottenAfterHours} * interval '1 hour'`)
    .groupBy('name')
    .orderBy('name')
    .execute();
  return rows.map(({ name, heartbeat_at, up }) => {
    const hash = createHash('sha256').update(`godwit controller ${name}`).digest();
    // Stable ids that no host has: hosts count from 1, these lie above 2^30; the UUID is one of version 8 (made by us).
    const apiId = 2 ** 30 + (hash.readUInt32BE(0) % 2 ** 30);
    const hex = hash.toString('hex');
    return {
      apiId,
      serviceId: `${hex.slice(0, 8)}-${hex.slice(8, 12)}-8${hex.slice(13, 16)}-8${hex.slice(17, 20)}-${hex.slice(20, 32)}`,
      name,
      up,
      heartbeatAt: heartbeat_at,
    };
  });
}
