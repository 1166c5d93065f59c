/** The states of a server: the words of the OpenStack compute API. */
export const vmStates = [
  'building',
  'active',
  'paused',
  'suspended',
  'stopped',
  'rescued',
  'resized',
  'error',
  'deleted',
  'soft-delete',
  'shelved',
  'shelved_offloaded',
] as const;
export type VmState = (typeof vmStates)[number];

export const taskStates = [
  'scheduling',
  'networking',
  'block_device_mapping',
  'spawning',
  'powering-on',
  'powering-off',
  'pausing',
  'unpausing',
  'suspending',
  'resuming',
  'rebooting',
  'reboot_started',
  'rebooting_hard',
  'reboot_started_hard',
  'migrating',
  'resize_prep',
  'resize_migrating',
  'resize_migrated',
  'resize_finish',
  'resize_reverting',
  'rebuilding',
  'rebuild_spawning',
  'scaling',
  'rescuing',
  'unrescuing',
  'image_snapshot',
  'image_uploading',
  'shelving',
  'shelving_image_uploading',
  'shelving_offloading',
  'unshelving',
  'deleting',
  'soft-deleting',
  'restoring',
] as const;
export type TaskState = (typeof taskStates)[number] | null;

/** The API's integers for a guest's power state. */
export const powerState = { pending: 0, running: 1, paused: 3, shutdown: 4, crashed: 6, suspended: 7 } as const;
export type PowerState = (typeof powerState)[keyof typeof powerState];
