import { as, type HostId } from '@godwit/domain/ids';
import type { Db } from '../../../store/database.ts';

/** Where a server is now, for whoever is attached to its console. */
export type Place =
  | { readonly kind: 'on'; readonly host: HostId; readonly name: string }
  | { readonly kind: 'nowhere' }
  | { readonly kind: 'gone' };

const lookEveryMs = 500;

export async function placeOf(db: Db, serverId: string): Promise<Place> {
  const row = await db
    .selectFrom('server')
    .leftJoin('host', 'host.id', 'server.host_id')
    .select(['server.host_id', 'host.name'])
    .where('server.id', '=', serverId)
    .where('server.deleted_at', 'is', null)
    .executeTakeFirst();
  if (row === undefined) return { kind: 'gone' };
  return row.host_id === null || row.name === null ? { kind: 'nowhere' } : { kind: 'on', host: as<HostId>(row.host_id), name: row.name };
}

/**
 * Aborts when the server is no longer on this host. Looked for twice a second: to read the event feed, every attached console would read every event of the cloud.
 * Looking ends when `until` aborts.
 */
export function leavesHost(db: Db, serverId: string, host: HostId, until: AbortSignal): AbortSignal {
  const left = new AbortController();
  const look = (): void => {
    placeOf(db, serverId).then(
      (place) => {
        if (place.kind !== 'on' || place.host !== host) left.abort();
      },
      // The database is away: where the guest is, it stays.
      () => {},
    );
  };
  const timer = setInterval(look, lookEveryMs);
  const stop = (): void => clearInterval(timer);
  left.signal.addEventListener('abort', stop);
  until.addEventListener('abort', () => {
    stop();
    left.abort();
  });
  return left.signal;
}
