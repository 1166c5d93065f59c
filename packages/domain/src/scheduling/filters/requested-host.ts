import { type Filter, text } from '../filter.ts';

/** Only the host that the request names. It passes every other filter too, or nothing does. */
export const requestedHost: Filter = {
  name: 'requested-host',
  prepare: (demand) => {
    const requested = demand.requestedHost;
    if (requested === null) return null;
    const rejection = { filter: 'requested-host', code: 'NotRequestedHost', data: { requested: requested.name } } as const;
    return (host) => (host.id === requested.id ? null : rejection);
  },
  describe: (rejection) => ({
    sentence: `the request names ${text(rejection, 'requested')}`,
    smallestChange: 'ask for this host, or for none',
  }),
};
