import type { HostFacts } from '@godwit/domain/host';
import { physicalResources } from '@godwit/domain/scheduling/host-state';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';
import type { PlacementContext } from './placement-context.ts';

/** The resource classes of the ledger. */
export const resourceClasses = ['VCPU', 'MEMORY_MB', 'DISK_GB'] as const;
export type ResourceClass = (typeof resourceClasses)[number];
export type Amounts = Readonly<Record<ResourceClass, number>>;

export type ProviderRow = {
  readonly id: string;
  readonly name: string;
  readonly enabled: boolean;
  readonly facts: HostFacts;
  /** Grows with every change of the host's row. */
  readonly generation: number;
  readonly used: Amounts;
  readonly aggregates: readonly string[];
};

/** Every host as a resource provider, with the sums of the ledger. */
export async function providerRows(db: Db): Promise<readonly ProviderRow[]> {
  return db
    .selectFrom('host')
    .select(['id', 'name', 'enabled', 'facts'])
    .select([
      sql<number>`(extract(epoch from updated_at) * 1000)::bigint`.as('generation'),
      sql<Amounts>`(select json_build_object('VCPU', coalesce(sum(vcpus), 0), 'MEMORY_MB', coalesce(sum(ram_mib), 0), 'DISK_GB', coalesce(sum(disk_gib), 0)) from allocation where host_id = host.id)`.as(
        'used',
      ),
      sql<
        string[]
      >`coalesce((select array_agg(a.uuid::text order by a.id) from aggregate_host ah join aggregate a on a.id = ah.aggregate_id where ah.host_id = host.id and a.deleted_at is null), '{}')`.as(
        'aggregates',
      ),
    ])
    .where('deleted_at', 'is', null)
    .orderBy('api_id')
    .execute();
}

export type Inventory = {
  readonly total: number;
  readonly reserved: number;
  readonly min_unit: 1;
  readonly max_unit: number;
  readonly step_size: 1;
  readonly allocation_ratio: number;
};

/** What the host has of each class; a class of which it has none is left out. One server never gets more of a class than the host physically has. */
export function inventoriesOf(row: ProviderRow, config: PlacementContext['config']): Partial<Record<ResourceClass, Inventory>> {
  const { vcpus, ramMib, diskGib } = physicalResources(row.facts);
  const of = (total: number, ratio: number): Inventory => ({
    total,
    reserved: 0,
    min_unit: 1,
    max_unit: total,
    step_size: 1,
    allocation_ratio: ratio,
  });
  const all = {
    VCPU: of(vcpus, config.cpuAllocationRatio),
    MEMORY_MB: of(ramMib, config.ramAllocationRatio),
    DISK_GB: of(diskGib, config.diskAllocationRatio),
  };
  return Object.fromEntries(Object.entries(all).filter(([, inventory]) => inventory.total > 0));
}

/** What the scheduler counts with: over-commit applied. */
export const capacityOf = (inventory: Inventory): number => Math.floor((inventory.total - inventory.reserved) * inventory.allocation_ratio);

/** Amounts of a ledger row by class, without zeros (placement knows no allocation of nothing). */
export function amountsOf(row: {
  readonly vcpus: number;
  readonly ram_mib: number;
  readonly disk_gib: number;
}): Partial<Record<ResourceClass, number>> {
  return Object.fromEntries(
    Object.entries({ VCPU: row.vcpus, MEMORY_MB: row.ram_mib, DISK_GB: row.disk_gib }).filter(([, amount]) => amount > 0),
  );
}

/** Traits that say something true of a host, in placement's words. */
export function traitsOf(row: ProviderRow): readonly string[] {
  return [
    ...(row.enabled ? [] : ['COMPUTE_STATUS_DISABLED']),
    ...(row.facts.hypervisorType === 'ironic' ? ['CUSTOM_BAREMETAL'] : []),
    ...row.facts.cpuFeatures.map((feature) => cpuTraits[feature]).filter((trait) => trait !== undefined),
  ].toSorted();
}

/** os-traits names of CPU features, by QEMU's names. */
const cpuTraits: Readonly<Record<string, string>> = {
  sse: 'HW_CPU_X86_SSE',
  sse2: 'HW_CPU_X86_SSE2',
  pni: 'HW_CPU_X86_SSE3',
  ssse3: 'HW_CPU_X86_SSSE3',
  'sse4.1': 'HW_CPU_X86_SSE41',
  'sse4.2': 'HW_CPU_X86_SSE42',
  avx: 'HW_CPU_X86_AVX',
  avx2: 'HW_CPU_X86_AVX2',
  aes: 'HW_CPU_X86_AESNI',
  fma: 'HW_CPU_X86_FMA3',
  f16c: 'HW_CPU_X86_F16C',
  bmi1: 'HW_CPU_X86_BMI',
  bmi2: 'HW_CPU_X86_BMI2',
  vmx: 'HW_CPU_X86_VMX',
  svm: 'HW_CPU_X86_SVM',
  avx512f: 'HW_CPU_X86_AVX512F',
  'sha-ni': 'HW_CPU_X86_SHA',
};
