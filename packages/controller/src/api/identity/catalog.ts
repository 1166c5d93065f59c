import { createHash } from 'node:crypto';

const services = [
  { type: 'identity', name: 'keystone', path: '/identity/v3' },
  // The versioned URL: novaclient appends paths to it without discovery.
  { type: 'compute', name: 'nova', path: '/compute/v2.1' },
  { type: 'image', name: 'glance', path: '/image' },
  { type: 'network', name: 'neutron', path: '/network' },
  { type: 'placement', name: 'placement', path: '/placement' },
  // What no OpenStack service has: explanations, plans, drains, events.
  { type: 'godwit', name: 'godwit', path: '/godwit/v1' },
] as const;

const interfaces = ['public', 'internal', 'admin'] as const;

/** Where the services are, under the names that clients look for. Ids follow from the content, so every controller tells the same. */
export function serviceCatalog(origin: string, region: string) {
  return services.map(({ type, name, path }) => ({
    id: stableId(`service ${type}`),
    type,
    name,
    endpoints: interfaces.map((kind) => ({
      id: stableId(`endpoint ${type} ${kind} ${region}`),
      interface: kind,
      region,
      region_id: region,
      url: `${origin}${path}`,
    })),
  }));
}

const stableId = (of: string): string => createHash('sha256').update(of).digest('hex').slice(0, 32);
