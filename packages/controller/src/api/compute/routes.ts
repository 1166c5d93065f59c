import type { ComputeRoute } from './route.ts';

/** Every route of the compute API under /compute/v2.1, one list per resource. */
export const computeRoutes: readonly ComputeRoute[] = [];
