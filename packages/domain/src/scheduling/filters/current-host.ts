import type { Filter, Rejection } from '../filter.ts';

const rejection: Rejection = { filter: 'current-host', code: 'CurrentHost', data: {} };

/** The current host is never a candidate for a move. */
export const currentHost: Filter = {
  name: 'current-host',
  prepare: (demand) => {
    const current = demand.currentHost;
    if (demand.kind === 'create' || current === null) return null;
    return (host) => (host.id === current.id ? rejection : null);
  },
  describe: () => ({ sentence: 'the server is on this host', smallestChange: null }),
};
