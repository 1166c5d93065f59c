import { as, type HostId } from '@godwit/domain/ids';
import { defaultZone, type HostAggregate, type HostState } from '@godwit/domain/scheduling/host-state';
import { sql } from 'kysely';
import type { ResolvedConfig } from '../../config/load-config.ts';
import type { Db } from '../../store/database.ts';

export type Ratios = Pick<ResolvedConfig, 'cpuAllocationRatio' | 'ramAllocationRatio' | 'diskAllocationRatio'>;

/** Every host (or those named) as the scheduler sees it, from one look at the database. Usage is the sum over the ledger. */
export async function loadHosts(db: Db, ratios: Ratios, only: readonly HostId[] | null = null): Promise<readonly HostState[]> {
  let hosts = db
    .selectFrom('host')
    .select((eb) => [
      'host.id',
      'host.name',
      'host.facts',
      'host.enabled',
      'host.disabled_reason',
      'host.forced_down',
      'host.reachable',
      'host.fenced_at',
      sql<{
        vcpus: number;
        ramMib: number;
        diskGib: number;
      }>`(select json_build_object('vcpus', coalesce(sum(a.vcpus), 0), 'ramMib', coalesce(sum(a.ram_mib), 0), 'diskGib', coalesce(sum(a.disk_gib), 0)) from allocation a where a.host_id = host.id)`.as(
        'usage',
      ),
      sql<number>`(select count(*)::integer from migration m where m.destination_host_id = host.id and m.finished_at is null and m.status <> 'finished')`.as(
        'incoming',
      ),
      eb
        .selectFrom('aggregate_host')
        .innerJoin('aggregate', 'aggregate.id', 'aggregate_host.aggregate_id')
        .select(
          sql<
            HostAggregate[]
          >`coalesce(json_agg(json_build_object('id', aggregate.id, 'name', aggregate.name, 'metadata', aggregate.metadata) order by aggregate.id), '[]')`.as(
            'list',
          ),
        )
        .whereRef('aggregate_host.host_id', '=', 'host.id')
        .where('aggregate.deleted_at', 'is', null)
        .as('aggregates'),
    ])
    .where('host.deleted_at', 'is', null);
  if (only !== null) hosts = hosts.where(sql<boolean>`host.id = any(${[...only]}::uuid[])`);
  const rows = await hosts.execute();
  return rows.map((row) => {
    const aggregates = row.aggregates ?? [];
    return {
      id: as<HostId>(row.id),
      name: row.name,
      zone: aggregates.map((aggregate) => aggregate.metadata.availability_zone).find((zone) => zone !== undefined) ?? defaultZone,
      aggregates,
      facts: row.facts,
      enabled: row.enabled,
      disabledReason: row.disabled_reason,
      forcedDown: row.forced_down,
      reachable: row.reachable,
      ...(row.fenced_at === null ? {} : { fenced: true }),
      usage: row.usage,
      ratios: { vcpus: ratios.cpuAllocationRatio, ramMib: ratios.ramAllocationRatio, diskGib: ratios.diskAllocationRatio },
      incomingMigrations: row.incoming,
    };
  });
}
