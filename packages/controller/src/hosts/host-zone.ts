import { defaultZone } from '@godwit/domain/scheduling/host-state';
import { type RawBuilder, sql } from 'kysely';

/** The zone of the host named by `hostId` (a column such as `host.id`): that of its aggregate with one, else the default zone. A host has one zone at most. */
export function zoneOfHost(hostId: string): RawBuilder<string> {
  return sql<string>`coalesce((select a.metadata ->> 'availability_zone' from aggregate_host ah join aggregate a on a.id = ah.aggregate_id
    where ah.host_id = ${sql.ref(hostId)} and a.deleted_at is null and a.metadata ? 'availability_zone' order by a.id limit 1), ${sql.lit(defaultZone)})`;
}
