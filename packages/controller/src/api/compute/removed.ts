import { type ErrorCode, GodwitError } from '@godwit/domain/errors';
import type { Method } from '../route-table.ts';
import { type ComputeRoute, route } from './route.ts';

/** Up to which minor a route of what is no service of the compute API any more answers at all. */
const lastOfProxies = 35;

/** One that always refuses, whoever asks for whatever. */
const refusing = (method: Method, path: string, code: ErrorCode, message: string, max?: number): ComputeRoute =>
  route(method, path, {
    ...(max === undefined ? {} : { max }),
    response: () => null,
    handle: async () => {
      throw new GodwitError(code, message);
    },
  });

/** `METHOD path` of what the API once had and has not any more: the reference answers 410, so that a client does not try again. Source: the compute API reference, "Obsolete APIs". */
const gone: readonly (readonly [routes: readonly string[], max?: number])[] = [
  [['GET /os-agents', 'POST /os-agents', 'PUT /os-agents/:agent', 'DELETE /os-agents/:agent']],
  [
    [
      'GET /os-cells',
      'POST /os-cells',
      'GET /os-cells/capacities',
      'GET /os-cells/detail',
      'GET /os-cells/info',
      'POST /os-cells/sync_instances',
      'GET /os-cells/:cell',
      'PUT /os-cells/:cell',
      'DELETE /os-cells/:cell',
      'GET /os-cells/:cell/capacities',
    ],
  ],
  [['POST /os-certificates', 'GET /os-certificates/root']],
  [['GET /os-cloudpipe', 'POST /os-cloudpipe', 'PUT /os-cloudpipe/configure-project']],
  [
    [
      'GET /servers/:server/consoles',
      'POST /servers/:server/consoles',
      'GET /servers/:server/consoles/:console',
      'DELETE /servers/:server/consoles/:console',
    ],
  ],
  [['GET /servers/:server/os-virtual-interfaces'], 43],
  [['GET /os-fping', 'GET /os-fping/:server'], lastOfProxies],
  [['GET /os-fixed-ips/:address', 'POST /os-fixed-ips/:address/action'], lastOfProxies],
  [
    [
      'GET /os-floating-ip-dns',
      'PUT /os-floating-ip-dns/:domain',
      'DELETE /os-floating-ip-dns/:domain',
      'GET /os-floating-ip-dns/:domain/entries/:entry',
      'PUT /os-floating-ip-dns/:domain/entries/:entry',
      'DELETE /os-floating-ip-dns/:domain/entries/:entry',
    ],
    lastOfProxies,
  ],
  [
    ['GET /os-floating-ips-bulk', 'POST /os-floating-ips-bulk', 'GET /os-floating-ips-bulk/:host', 'PUT /os-floating-ips-bulk/delete'],
    lastOfProxies,
  ],
  [
    [
      'GET /os-security-group-default-rules',
      'POST /os-security-group-default-rules',
      'GET /os-security-group-default-rules/:rule',
      'DELETE /os-security-group-default-rules/:rule',
    ],
    lastOfProxies,
  ],
  [['POST /os-networks', 'POST /os-networks/add', 'DELETE /os-networks/:network', 'POST /os-networks/:network/action'], lastOfProxies],
  [['POST /os-tenant-networks', 'DELETE /os-tenant-networks/:network'], lastOfProxies],
];

/** Proxies of a volume service, which this cloud does not have. */
const ofVolumes = [
  'GET /os-volumes',
  'POST /os-volumes',
  'GET /os-volumes/detail',
  'GET /os-volumes/:volume',
  'DELETE /os-volumes/:volume',
  'GET /os-snapshots',
  'POST /os-snapshots',
  'GET /os-snapshots/detail',
  'GET /os-snapshots/:snapshot',
  'DELETE /os-snapshots/:snapshot',
];

const split = (text: string): readonly [Method, string] => {
  const [method = '', path = ''] = text.split(' ');
  return [method as Method, path];
};

export const removedRoutes: readonly ComputeRoute[] = [
  ...gone.flatMap(([routes, max]) =>
    routes.map((text) => refusing(...split(text), 'Gone', 'This resource is no longer available. No forwarding address is given.', max)),
  ),
  ...ofVolumes.map((text) => refusing(...split(text), 'NotImplemented', 'This cloud has no volume service.', lastOfProxies)),
];
