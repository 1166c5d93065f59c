import { Endpoint, itemAnswer, listAnswer, Region, Service } from '@godwit/contract/schemas/identity/resources';
import { one } from '../query.ts';
import { serviceCatalog } from './catalog.ts';
import { type IdentityRequest, type IdentityRoute, listLinks, notFound, pathParam } from './route.ts';

/** The catalog as the resources it is made of. To be read only: which services there are and where follows from the configuration. */
const catalogOf = (request: IdentityRequest<never>) => serviceCatalog(request.context.config.publicUrl, request.context.config.region);

const services = (request: IdentityRequest<never>) =>
  catalogOf(request).map(({ id, type, name }) => ({
    id,
    type,
    name,
    enabled: true,
    description: '',
    links: { self: `${request.base}/services/${id}` },
  }));

const endpoints = (request: IdentityRequest<never>) =>
  catalogOf(request).flatMap((service) =>
    service.endpoints.map((endpoint) => ({
      ...endpoint,
      service_id: service.id,
      enabled: true,
      links: { self: `${request.base}/endpoints/${endpoint.id}` },
    })),
  );

const regions = (request: IdentityRequest<never>) => [
  {
    id: request.context.config.region,
    description: '',
    parent_region_id: null,
    links: { self: `${request.base}/regions/${request.context.config.region}` },
  },
];

/** Keeps what agrees with every one of these query keys that is given. */
function matching<T extends object>(
  request: IdentityRequest<never>,
  items: readonly T[],
  keys: readonly (keyof T & string)[],
): readonly T[] {
  return items.filter((item) => keys.every((key) => one(request.query, key) === null || item[key] === one(request.query, key)));
}

function named<T extends { readonly id: string }>(request: IdentityRequest<never>, items: readonly T[], what: string): T {
  const id = pathParam(request, 'id');
  const found = items.find((item) => item.id === id);
  if (found === undefined) throw notFound(what, id);
  return found;
}

export const serviceRoutes: readonly IdentityRoute[] = [
  {
    method: 'GET',
    path: '/v3/services',
    who: 'admin',
    rule: 'list_services',
    response: listAnswer('services', Service),
    handle: async (request) => ({
      status: 200,
      body: { services: matching(request, services(request), ['name', 'type']), links: listLinks(request, '/services') },
    }),
  },
  {
    method: 'GET',
    path: '/v3/services/:id',
    who: 'admin',
    rule: 'get_service',
    response: itemAnswer('service', Service),
    handle: async (request) => ({ status: 200, body: { service: named(request, services(request), 'service') } }),
  },
  {
    method: 'GET',
    path: '/v3/endpoints',
    who: 'admin',
    rule: 'list_endpoints',
    response: listAnswer('endpoints', Endpoint),
    handle: async (request) => ({
      status: 200,
      body: {
        endpoints: matching(request, endpoints(request), ['interface', 'service_id', 'region_id', 'region']),
        links: listLinks(request, '/endpoints'),
      },
    }),
  },
  {
    method: 'GET',
    path: '/v3/endpoints/:id',
    who: 'admin',
    rule: 'get_endpoint',
    response: itemAnswer('endpoint', Endpoint),
    handle: async (request) => ({ status: 200, body: { endpoint: named(request, endpoints(request), 'endpoint') } }),
  },
  {
    method: 'GET',
    path: '/v3/regions',
    who: 'anyone',
    rule: 'list_regions',
    response: listAnswer('regions', Region),
    handle: async (request) => ({ status: 200, body: { regions: regions(request), links: listLinks(request, '/regions') } }),
  },
  {
    method: 'GET',
    path: '/v3/regions/:id',
    who: 'anyone',
    rule: 'get_region',
    response: itemAnswer('region', Region),
    handle: async (request) => ({ status: 200, body: { region: named(request, regions(request), 'region') } }),
  },
];
