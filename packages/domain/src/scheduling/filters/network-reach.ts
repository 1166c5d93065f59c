import { type Filter, oncePer, text } from '../filter.ts';

/** The host has every bridge that the server's networks name. */
export const networkReach: Filter = {
  name: 'network-reach',
  prepare: (demand) => {
    const bridged = demand.networks.flatMap(({ name, bridge }) => (bridge === null ? [] : [{ name, bridge }]));
    if (bridged.length === 0) return null;
    return oncePer(
      (facts) => facts.bridges,
      (bridges) => {
        const missing = bridged.find(({ bridge }) => !bridges.includes(bridge));
        return missing === undefined
          ? null
          : { filter: 'network-reach', code: 'NetworkUnreachable', data: { network: missing.name, bridge: missing.bridge } };
      },
    );
  },
  describe: (rejection) => ({
    sentence: `network ${text(rejection, 'network')} needs bridge ${text(rejection, 'bridge')}, which is not here`,
    smallestChange: `make bridge ${text(rejection, 'bridge')} on this host`,
  }),
};
