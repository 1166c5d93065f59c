/** The filters by name, in the order in which they are asked and in which their reasons are shown. */
export const filterNames = [
  'current-host', 'excluded-host', 'service', 'hypervisor-type', 'requested-host', 'zone', 'aggregate-metadata', 'same-host', 'different-host', 'group',
  'machine-type', 'qemu-version', 'cpu-features', 'network-reach', 'storage-reach', 'ram', 'vcpu', 'disk',
] as const;
export type FilterName = (typeof filterNames)[number];

/** Stable codes of rejections; the documentation's table of remedies is keyed by them. */
export const rejectionCodes = [
  'CurrentHost', 'FailedBefore', 'ForcedDown', 'Unreachable', 'Disabled', 'HypervisorType', 'BareMetalTarget', 'NotRequestedHost', 'Zone', 'AggregateMetadata', 'NotSameHost',
  'NotDifferentHost', 'Affinity', 'AntiAffinity', 'MachineType', 'QemuVersion', 'Accelerator', 'CpuFeatures', 'NetworkUnreachable', 'SharedPoolMissing', 'LocalDisk', 'PoolMissing',
  'PoolFull', 'InsufficientRam', 'InsufficientVcpus', 'InsufficientDisk', 'TooManyVcpus',
] as const;
export type RejectionCode = (typeof rejectionCodes)[number];
