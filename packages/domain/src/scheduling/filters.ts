import type { Filter } from './filter.ts';
import { aggregateMetadata } from './filters/aggregate-metadata.ts';
import { cpuFeatures } from './filters/cpu-features.ts';
import { currentHost } from './filters/current-host.ts';
import { deviceLayout } from './filters/device-layout.ts';
import { differentHost } from './filters/different-host.ts';
import { disk } from './filters/disk.ts';
import { excludedHost } from './filters/excluded-host.ts';
import { group } from './filters/group.ts';
import { hypervisorType } from './filters/hypervisor-type.ts';
import { machineType } from './filters/machine-type.ts';
import { networkReach } from './filters/network-reach.ts';
import { qemuVersion } from './filters/qemu-version.ts';
import { ram } from './filters/ram.ts';
import { requestedHost } from './filters/requested-host.ts';
import { sameHost } from './filters/same-host.ts';
import { service } from './filters/service.ts';
import { storageReach } from './filters/storage-reach.ts';
import { vcpu } from './filters/vcpu.ts';
import { zone } from './filters/zone.ts';
import type { FilterName } from './rejection-codes.ts';

const byName: { readonly [Name in FilterName]: Filter } = {
  'current-host': currentHost,
  'excluded-host': excludedHost,
  service,
  'hypervisor-type': hypervisorType,
  'requested-host': requestedHost,
  zone,
  'aggregate-metadata': aggregateMetadata,
  'same-host': sameHost,
  'different-host': differentHost,
  group,
  'machine-type': machineType,
  'qemu-version': qemuVersion,
  'cpu-features': cpuFeatures,
  'device-layout': deviceLayout,
  'network-reach': networkReach,
  'storage-reach': storageReach,
  ram,
  vcpu,
  disk,
};

/** Every filter, in the order in which hosts are asked and reasons are shown. No request skips any of them. */
export const filters: readonly Filter[] = Object.values(byName);

export const filterNamed = (name: FilterName): Filter => byName[name];
