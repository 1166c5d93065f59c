import type { GroupPolicy } from '../api/resources.ts';

/** What each policy means for whoever reads it. */
export const policyWords: Readonly<Record<GroupPolicy, string>> = {
  affinity: 'all members on one host, always',
  'anti-affinity': 'each member on a host of its own, always',
  'soft-affinity': 'together when there is room',
  'soft-anti-affinity': 'apart when there are hosts enough',
};

/** Where the members of a hard group run against its rule, in one sentence; null where they do not. `hosts` has a null for a member without a host. */
export function groupViolation(policy: GroupPolicy, mostPerHost: number, hosts: readonly (string | null)[]): string | null {
  const placed = hosts.filter((host) => host !== null);
  const perHost = Map.groupBy(placed, (host) => host);
  if (policy === 'affinity') return perHost.size > 1 ? `Rule broken: members are on ${[...perHost.keys()].toSorted().join(', ')}.` : null;
  if (policy !== 'anti-affinity') return null;
  const crowded = [...perHost]
    .filter(([, members]) => members.length > mostPerHost)
    .map(([host, members]) => `${members.length} on ${host}`);
  return crowded.length === 0 ? null : `Rule broken: ${crowded.toSorted().join(', ')}.`;
}
