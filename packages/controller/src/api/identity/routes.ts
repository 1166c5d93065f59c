import { domainRoutes } from './domains.ts';
import { projectRoutes } from './projects.ts';
import { roleRoutes } from './roles.ts';
import type { IdentityRoute } from './route.ts';
import { serviceRoutes } from './services.ts';
import { tokenRoutes } from './tokens.ts';
import { userRoutes } from './users.ts';

/** Every route of the identity API. */
export const identityRoutes: readonly IdentityRoute[] = [
  ...tokenRoutes,
  ...domainRoutes,
  ...projectRoutes,
  ...userRoutes,
  ...roleRoutes,
  ...serviceRoutes,
];
