import type { GroupPolicy } from '../api/resources.ts';

/** What each policy means for whoever reads it. */
export const policyWords: Readonly<Record<GroupPolicy, string>> = {
  affinity: 'all members on one host, always',
  'anti-affinity': 'each member on a host of its own, always',
  'soft-affinity': 'together when there is room',
  'soft-anti-affinity': 'apart when there are hosts enough',
};
