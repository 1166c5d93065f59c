import { actionRoutes } from './actions.ts';
import { flavorAccessRoutes } from './flavor-access.ts';
import { flavorExtraSpecRoutes } from './flavor-extra-specs.ts';
import { flavorRoutes } from './flavors.ts';
import { hostRoutes } from './hosts/host-routes.ts';
import { instanceActionRoutes } from './instance-actions.ts';
import { interfaceRoutes } from './interfaces.ts';
import { keypairRoutes } from './keypairs.ts';
import { limitRoutes } from './limits.ts';
import { metadataRoutes, tagRoutes } from './metadata.ts';
import { migrationRoutes } from './migrations.ts';
import { oldImageRoutes } from './old-images.ts';
import { oldNetworkRoutes } from './old-networks.ts';
import { operatorRoutes } from './operator-calls.ts';
import { quotaRoutes } from './quotas.ts';
import { remoteConsoleRoutes } from './remote-consoles.ts';
import { removedRoutes } from './removed.ts';
import type { ComputeRoute } from './route.ts';
import { securityGroupRoutes } from './security-groups.ts';
import { serverDetailRoutes } from './server-details.ts';
import { serverGroupRoutes } from './server-groups.ts';
import { serverMigrationRoutes } from './server-migrations.ts';
import { serverRoutes } from './servers.ts';
import { tenantUsageRoutes } from './tenant-usage.ts';
import { usageAuditRoutes } from './usage-audit.ts';

/** Every route of the compute API under /compute/v2.1, one list per resource. */
export const computeRoutes: readonly ComputeRoute[] = [
  ...serverRoutes,
  ...actionRoutes,
  ...metadataRoutes,
  ...tagRoutes,
  ...serverMigrationRoutes,
  ...interfaceRoutes,
  ...remoteConsoleRoutes,
  ...instanceActionRoutes,
  ...migrationRoutes,
  ...flavorRoutes,
  ...flavorAccessRoutes,
  ...flavorExtraSpecRoutes,
  ...keypairRoutes,
  ...serverGroupRoutes,
  ...limitRoutes,
  ...quotaRoutes,
  ...tenantUsageRoutes,
  ...usageAuditRoutes,
  ...hostRoutes,
  ...serverDetailRoutes,
  ...operatorRoutes,
  ...oldImageRoutes,
  ...oldNetworkRoutes,
  ...securityGroupRoutes,
  ...removedRoutes,
];
