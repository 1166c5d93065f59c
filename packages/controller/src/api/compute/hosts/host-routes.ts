import type { ComputeRoute } from '../route.ts';
import { aggregateRoutes } from './aggregates.ts';
import { availabilityZoneRoutes } from './availability-zones.ts';
import { hypervisorRoutes } from './hypervisors.ts';
import { osHostRoutes } from './os-hosts.ts';
import { serviceRoutes } from './services.ts';

/** Everything of the compute API that is about hosts. */
export const hostRoutes: readonly ComputeRoute[] = [
  ...serviceRoutes,
  ...hypervisorRoutes,
  ...aggregateRoutes,
  ...availabilityZoneRoutes,
  ...osHostRoutes,
];
