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
} as const;

export type ScalingBehaviour = keyof typeof SCALING_BEHAVIOURS;
