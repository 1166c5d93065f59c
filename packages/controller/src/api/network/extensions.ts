import { ExtensionBody, ExtensionList } from '@godwit/contract/schemas/network/networks';
import { GodwitError } from '@godwit/domain/errors';
import type { ServiceRequest, ServiceRoute } from '../serve-routes.ts';

/** What of Neutron's extensions is really here. */
const extensions = [
  ['net-mtu', 'Network MTU', 'Provides MTU attribute for a network resource.'],
  ['project-id', 'project_id field enabled', 'Indicates that project_id field is enabled.'],
  ['standard-attr-description', 'standard-attr-description', 'Extension to add descriptions to standard attributes'],
  [
    'standard-attr-timestamp',
    'Resource timestamps',
    'Adds created_at and updated_at fields to all resources that have standard attributes.',
  ],
  ['provider', 'Provider Network', 'Expose mapping of virtual networks to physical networks'],
  ['security-group', 'security-group', 'The security groups extension.'],
  ['port-security', 'Port Security', 'Provides port security'],
  ['allowed-address-pairs', 'Allowed Address Pairs', 'Provides allowed address pairs'],
  ['quotas', 'Quota management support', 'Expose functions for quotas management per tenant'],
  ['quota_details', 'Quota details management support', 'Expose functions for quotas usage statistics per project'],
  ['binding', 'Port Binding', 'Expose port bindings of a virtual port to external application'],
].map(([alias = '', name = '', description = '']) => ({ alias, name, description, updated: '2026-11-01T00:00:00-00:00', links: [] }));

export const extensionRoutes: readonly ServiceRoute[] = [
  { method: 'GET', path: '/v2.0/extensions', response: ExtensionList, handle: async () => ({ status: 200, body: { extensions } }) },
  {
    method: 'GET',
    path: '/v2.0/extensions/:alias',
    response: ExtensionBody,
    handle: async ({ params }: ServiceRequest) => {
      const extension = extensions.find((one) => one.alias === params['alias']);
      if (extension === undefined) throw new GodwitError('NotFound', `Extension with alias ${params['alias'] ?? ''} does not exist`);
      return { status: 200, body: { extension } };
    },
  },
];
