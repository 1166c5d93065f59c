import type { HostFacts } from '@godwit/domain/host';
import { physicalResources } from '@godwit/domain/scheduling/host-state';
import { type Selectable, type SelectQueryBuilder, sql } from 'kysely';
import { zoneOfHost } from '../../../hosts/host-zone.ts';
import type { HostTable } from '../../../store/core-tables.ts';
import type { Db } from '../../../store/database.ts';
import type { Tables } from '../../../store/tables.ts';

/** A host with what the ledger says of it. */
export type HostRow = Pick<
  Selectable<HostTable>,
  | 'id'
  | 'api_id'
  | 'service_id'
  | 'name'
  | 'address'
  | 'enabled'
  | 'disabled_reason'
  | 'forced_down'
  | 'reachable'
  | 'last_seen_at'
  | 'facts'
> & {
  readonly zone: string;
  /** Sums over the ledger, never counters. */
  readonly used: { readonly vcpus: number; readonly ramMib: number; readonly diskGib: number };
  readonly servers: number;
  /** Servers with a task under way. */
  readonly busy: number;
};

/** Hosts of the cloud, in the order in which they joined. One query, whatever their number. */
export function hostRows(db: Db): SelectQueryBuilder<Tables, 'host', HostRow> {
  return db
    .selectFrom('host')
    .select([
      'host.id',
      'host.api_id',
      'host.service_id',
      'host.name',
      'host.address',
      'host.enabled',
      'host.disabled_reason',
      'host.forced_down',
      'host.reachable',
      'host.last_seen_at',
      'host.facts',
    ])
    .select([
      zoneOfHost('host.id').as('zone'),
      sql<
        HostRow['used']
      >`(select json_build_object('vcpus', coalesce(sum(vcpus), 0), 'ramMib', coalesce(sum(ram_mib), 0), 'diskGib', coalesce(sum(disk_gib), 0)) from allocation where host_id = host.id)`.as(
        'used',
      ),
      sql<number>`(select count(*)::integer from server where host_id = host.id and deleted_at is null)`.as('servers'),
      sql<number>`(select count(*)::integer from server where host_id = host.id and deleted_at is null and task_state is not null)`.as(
        'busy',
      ),
    ])
    .where('host.deleted_at', 'is', null)
    .orderBy('host.api_id');
}

export const stateOf = (host: Pick<HostRow, 'reachable' | 'forced_down'>): 'up' | 'down' =>
  host.reachable && !host.forced_down ? 'up' : 'down';
export const statusOf = (host: Pick<HostRow, 'enabled'>): 'enabled' | 'disabled' => (host.enabled ? 'enabled' : 'disabled');

/** Capacity and use as the hypervisor resources count them: physical, over-commit not applied. */
export function capacityOf(host: HostRow) {
  const physical = physicalResources(host.facts);
  return {
    vcpus: physical.vcpus,
    memory_mb: physical.ramMib,
    local_gb: physical.diskGib,
    vcpus_used: host.used.vcpus,
    memory_mb_used: host.used.ramMib,
    local_gb_used: host.used.diskGib,
    free_ram_mb: physical.ramMib - host.used.ramMib,
    free_disk_gb: physical.diskGib - host.used.diskGib,
    current_workload: host.busy,
    running_vms: host.servers,
    disk_available_least: freeGib(host.facts),
  };
}

/** What the pools report as free on the medium. */
const freeGib = (facts: HostFacts): number => Math.floor(facts.pools.reduce((bytes, pool) => bytes + pool.freeBytes, 0) / 2 ** 30);
