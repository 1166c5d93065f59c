import type { HostId } from '../../ids.ts';
import { type Filter, text } from '../filter.ts';

/** Hint different_host: none of the named servers is on the host. */
export const differentHost: Filter = {
  name: 'different-host',
  prepare: (demand) => {
    const named = demand.hints.differentHost;
    if (named.length === 0) return null;
    const taken = new Map<HostId, string>();
    for (const server of named) for (const host of server.hosts) if (!taken.has(host.id)) taken.set(host.id, server.name);
    if (taken.size === 0) return null;
    return (host) => {
      const server = taken.get(host.id);
      return server === undefined ? null : { filter: 'different-host', code: 'NotDifferentHost', data: { server } };
    };
  },
  describe: (rejection) => ({
    sentence: `different_host: server ${text(rejection, 'server')} runs here`,
    smallestChange: `move ${text(rejection, 'server')} away from here`,
  }),
};
