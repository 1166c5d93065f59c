import type { HostId } from '../../ids.ts';
import type { Weigher } from '../weigher.ts';

/** soft-affinity: the more members on the host the better; soft-anti-affinity: the fewer. A moving member counts on both hosts. */
export const softGroup: Weigher = {
  name: 'soft-group',
  prepare: (demand) => {
    const { group } = demand;
    if (group === null || (group.policy !== 'soft-affinity' && group.policy !== 'soft-anti-affinity')) return null;
    const members = new Map<HostId, number>();
    for (const member of group.members)
      for (const id of new Set(member.hosts.map((host) => host.id))) members.set(id, (members.get(id) ?? 0) + 1);
    const sign = group.policy === 'soft-affinity' ? -1 : 1;
    return (host) => sign * (members.get(host.id) ?? 0);
  },
  describe: (weight, demand) => {
    const count = Math.abs(weight);
    return `${demand.group?.policy ?? 'group'}: ${count} other ${count === 1 ? 'member' : 'members'} of group ${demand.group?.name ?? ''} here`;
  },
};
