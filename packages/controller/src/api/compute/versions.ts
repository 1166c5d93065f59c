import { computeMicroversions } from '../microversion.ts';
import type { Answer } from './route.ts';

/** Both dates are those of the API reference's examples; clients only read that they are there. */
const updated = { 'v2.0': '2011-01-21T11:33:21Z', 'v2.1': '2013-07-23T11:33:21Z' } as const;
const range = { version: `2.${computeMicroversions.maxMinor}`, min_version: `2.${computeMicroversions.minMinor}` };

const entry = (origin: string, id: 'v2.0' | 'v2.1') => ({
  id,
  status: id === 'v2.1' ? 'CURRENT' : 'SUPPORTED',
  ...(id === 'v2.1' ? range : { version: '', min_version: '' }),
  updated: updated[id],
  links: [{ rel: 'self', href: `${origin}/compute/${id === 'v2.1' ? 'v2.1' : 'v2'}/` }],
});

/** `GET /compute/` */
export const versionList = (origin: string): Answer => ({
  status: 200,
  body: { versions: [entry(origin, 'v2.0'), entry(origin, 'v2.1')] },
});

/** `GET /compute/v2.1/` and `GET /compute/v2/` */
export function versionDocument(origin: string, id: 'v2.0' | 'v2.1'): Answer {
  const version = entry(origin, id);
  return {
    status: 200,
    body: {
      version: {
        ...version,
        links: [...version.links, { rel: 'describedby', type: 'text/html', href: 'http://docs.openstack.org/' }],
        'media-types': [
          { base: 'application/json', type: `application/vnd.openstack.compute+json;version=${id === 'v2.1' ? '2.1' : '2'}` },
        ],
      },
    },
  };
}
