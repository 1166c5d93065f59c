import type { HostId } from '../../ids.ts';
import { amount, type Filter, type HostCheck, type Rejection, text } from '../filter.ts';
import type { DemandedGroup } from '../server-demand.ts';

/**
 * The hard group rules. A member that is moving counts on both of its hosts, whichever it ends on.
 * affinity: only a host that runs every other placed member. anti-affinity: only hosts that run fewer than
 * max_server_per_host (1) of them. Soft policies reject nothing: they rank.
 */
export const group: Filter = {
  name: 'group',
  prepare: (demand) => {
    if (demand.group === null) return null;
    switch (demand.group.policy) {
      case 'affinity':
        return affinity(demand.group);
      case 'anti-affinity':
        return antiAffinity(demand.group);
      case 'soft-affinity':
      case 'soft-anti-affinity':
        return null;
    }
  },
  describe: (rejection) => {
    const [name, server] = [text(rejection, 'group'), text(rejection, 'server')];
    const override = `remove the server from group ${name}, move it, add it again`;
    if (rejection.code === 'Affinity') {
      return { sentence: `affinity: server ${server} of group ${name} runs on ${text(rejection, 'on')}`, smallestChange: override };
    }
    const limit = amount(rejection, 'limit');
    const most = limit === 1 ? '' : `, ${limit} per host at most`;
    return {
      sentence:
        amount(rejection, 'count') === 1
          ? `anti-affinity: server ${server} of group ${name} runs here${most}`
          : `anti-affinity: servers ${server} of group ${name} run here${most}`,
      smallestChange: `move ${text(rejection, 'first')} away from here, or ${override}`,
    };
  },
};

function affinity(demanded: DemandedGroup): HostCheck | null {
  const placed = demanded.members.filter((member) => member.hosts.length > 0);
  if (placed.length === 0) return null;
  // The first member that is not (only) on the host is named; the answer depends on the host only where members are.
  const elsewhere = (hostId: HostId | null): Rejection | null => {
    const member = placed.find((one) => one.hosts.some((host) => host.id !== hostId));
    return member === undefined
      ? null
      : {
          filter: 'group',
          code: 'Affinity',
          data: { group: demanded.name, server: member.name, on: member.hosts.map((host) => host.name) },
        };
  };
  const onHosts = new Map(placed.flatMap((member) => member.hosts.map((host) => [host.id, elsewhere(host.id)] as const)));
  const onNone = elsewhere(null);
  return (host) => {
    const verdict = onHosts.get(host.id);
    return verdict === undefined ? onNone : verdict;
  };
}

function antiAffinity(demanded: DemandedGroup): HostCheck | null {
  const limit = demanded.maxServerPerHost ?? 1;
  const names = new Map<HostId, string[]>();
  for (const member of demanded.members) {
    for (const host of new Map(member.hosts.map((one) => [one.id, one])).values()) {
      const here = names.get(host.id);
      if (here === undefined) names.set(host.id, [member.name]);
      else here.push(member.name);
    }
  }
  if (names.size === 0) return null;
  return (host) => {
    const here = names.get(host.id);
    if (here === undefined || here.length < limit) return null;
    const sorted = here.toSorted();
    return {
      filter: 'group',
      code: 'AntiAffinity',
      data: { group: demanded.name, server: sorted, first: sorted[0] ?? '', count: here.length, limit },
    };
  };
}
