import { type Filter, text } from '../filter.ts';

/** Hint same_host: at least one of the named servers is on the host, as in Nova. */
export const sameHost: Filter = {
  name: 'same-host',
  prepare: (demand) => {
    const named = demand.hints.sameHost;
    if (named.length === 0) return null;
    const allowed = new Set(named.flatMap((server) => server.hosts.map((host) => host.id)));
    const rejection = { filter: 'same-host', code: 'NotSameHost', data: { servers: named.map((server) => server.name) } } as const;
    return (host) => (allowed.has(host.id) ? null : rejection);
  },
  describe: (rejection) => ({
    sentence: `same_host: none of ${text(rejection, 'servers')} runs here`,
    smallestChange: `move one of ${text(rejection, 'servers')} here`,
  }),
};
