import type { FastifyInstance } from 'fastify';
import type { ServicePlugin } from '../plugins.ts';
import type { ApiContext } from '../request-context.ts';
import { type ServiceAnswer, type ServiceRoute, serveRoutes } from '../serve-routes.ts';
import { extensionRoutes } from './extensions.ts';
import { networkErrorBody } from './network-error.ts';
import { networkRoutes } from './networks.ts';
import { portRoutes } from './ports.ts';
import { quotaRoutes } from './quotas.ts';
import { securityGroupRuleRoutes } from './security-group-rules.ts';
import { securityGroupRoutes } from './security-groups.ts';
import { subnetRoutes } from './subnets.ts';

/** Every route of the network API, one list per resource. */
export const networkServiceRoutes: readonly ServiceRoute[] = [
  ...networkRoutes,
  ...subnetRoutes,
  ...portRoutes,
  ...securityGroupRoutes,
  ...securityGroupRuleRoutes,
  ...quotaRoutes,
  ...extensionRoutes,
];

/** The network API (v2.0) at `/network`: networks, subnets, ports and security groups, as far as servers need them. No routers, no floating addresses. */
export const networkPlugin: ServicePlugin = async (app, context) => registerNetwork(app, context);

export function registerNetwork(app: FastifyInstance, context: ApiContext, options: { readonly checkResponses?: boolean } = {}): void {
  serveRoutes(app, context, {
    prefix: '/network',
    routes: networkServiceRoutes,
    open: discovery,
    errorBody: networkErrorBody,
    ...options,
  });
}

function discovery(path: string, base: string): ServiceAnswer | null {
  const links = [{ rel: 'self', href: `${base}/v2.0/` }];
  if (path === '') return { status: 200, body: { versions: [{ id: 'v2.0', status: 'CURRENT', links }] } };
  if (path !== '/v2.0') return null;
  return {
    status: 200,
    body: {
      resources: ['networks', 'subnets', 'ports', 'security-groups', 'security-group-rules', 'quotas', 'extensions'].map((name) => ({
        name: name.slice(0, -1),
        collection: name,
        links: [{ rel: 'self', href: `${base}/v2.0/${name}` }],
      })),
    },
  };
}
