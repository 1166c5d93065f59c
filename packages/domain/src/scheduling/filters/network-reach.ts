import { type Filter, oncePer, type Rejection, text } from '../filter.ts';

/** The host has every bridge that the server's networks name, and carries VLANs where one is a VLAN. */
export const networkReach: Filter = {
  name: 'network-reach',
  prepare: (demand) => {
    const bridged = demand.networks.flatMap(({ name, bridge }) => (bridge === null ? [] : [{ name, bridge }]));
    const [tagged] = demand.networks.flatMap(({ name, vlan }) => (vlan === null ? [] : [{ name, vlan }]));
    if (bridged.length === 0 && tagged === undefined) return null;
    const bridges = oncePer(
      (facts) => facts.bridges,
      (present): Rejection | null => {
        const missing = bridged.find(({ bridge }) => !present.includes(bridge));
        return missing === undefined
          ? null
          : { filter: 'network-reach', code: 'NetworkUnreachable', data: { network: missing.name, bridge: missing.bridge } };
      },
    );
    return (host) =>
      bridges(host) ??
      (tagged === undefined || host.facts.vlans === true
        ? null
        : { filter: 'network-reach', code: 'NetworkUnreachable', data: { network: tagged.name, vlan: tagged.vlan } });
  },
  describe: (rejection) =>
    rejection.data['vlan'] === undefined
      ? {
          sentence: `network ${text(rejection, 'network')} needs bridge ${text(rejection, 'bridge')}, which is not here`,
          smallestChange: `make bridge ${text(rejection, 'bridge')} on this host`,
        }
      : {
          sentence: `network ${text(rejection, 'network')} is VLAN ${text(rejection, 'vlan')}, and the guest bridge here carries no VLANs`,
          smallestChange: 'set bridge.vlans in the configuration of its agent',
        },
};
