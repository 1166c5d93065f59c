/** Every behaviour of QEMU that a guest's vCPUs are changed by while it runs, each with the test of the same name in scaling-behaviours.real.test.ts (which fails if one has none). */
export const SCALING_BEHAVIOURS = {
  'plugged-vcpu-loads-as-present':
    'a machine that was given vCPUs loads into one that has as many from its start, has them there, and can be given more; with one thread for all, which survives each',
  'missing-vcpu-fails': 'a machine with fewer vCPUs than the guest has does not load it: the migration fails, and the source runs on',
  'surplus-vcpu-is-not-noticed':
    'one with more loads it all the same: nothing but our comparison keeps a guest from a vCPU that it never saw',
  'other-places-are-not-noticed': 'nor is a machine that has no places for more, of as many vCPUs as the guest has',
  'queues-follow-vcpus':
    'a disk without a number of queues has one for each vCPU that is there at the start: where it differs the migration fails, and the source runs on; with a number it loads',
  'reset-keeps-vcpus': 'a reset keeps the vCPUs that were plugged in',
  'asked-memory-is-stored':
    'a place for memory is as large as asked for and takes nothing of the host; what its guest is to have is stored, told, changed while it runs, and kept by a reset; a guest without a driver takes nothing',
  'memory-loads-as-asked':
    'what a guest is to have goes with it, into a machine that was started for none of it, and after that for something else',
  'missing-place-fails':
    'a machine without a place for memory, or with one of another size, does not load a guest that has one: the migration fails, and the source runs on',
  'surplus-place-is-not-noticed':
    'one with a place loads a guest that has none: nothing but our comparison keeps a guest from a device that it never saw',
  'place-begins-at-zero':
    'memory that is named first on the command line is where QEMU counts from, and the machine has the size that was asked for, to 8 KiB: what the search for dirty pages under TCG needs',
  'place-is-not-mapped':
    'what nothing was given of is no memory of the machine: a guest that writes there writes nowhere. Without dynamic memory slots all of it is, from the start',
} as const;

export type ScalingBehaviour = keyof typeof SCALING_BEHAVIOURS;
