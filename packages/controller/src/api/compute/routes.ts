import { flavorRoutes } from './flavors.ts';
import type { ComputeRoute } from './route.ts';
import { serverRoutes } from './servers.ts';

/** Every route of the compute API under /compute/v2.1, one list per resource. */
export const computeRoutes: readonly ComputeRoute[] = [
  ...serverRoutes,
  ...flavorRoutes,
];
