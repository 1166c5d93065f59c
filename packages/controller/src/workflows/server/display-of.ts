import type { FlavorSnapshot } from '../../store/core-tables.ts';

/** Flavor extra spec that gives a server a display besides its serial console. Pinned with the flavor when the server is made. */
export const displaySpec = 'godwit:display';

/** The display of a server with this flavor: `vnc`, or empty for none. */
export const displayOf = (flavor: Pick<FlavorSnapshot, 'extra_specs'>): 'vnc' | '' =>
  flavor.extra_specs[displaySpec] === 'vnc' ? 'vnc' : '';
