import type { HostId, ServerId } from '../ids.ts';
import type { DemandedGroup } from './server-demand.ts';

/** A member where it is now: one host while it runs or is stopped, none before it is placed. */
export type PlacedMember = {
  readonly id: ServerId;
  readonly name: string;
  readonly host: { readonly id: HostId; readonly name: string } | null;
};

/** A hard rule that the members, as they are now, do not keep. */
export type GroupViolation =
  | {
      readonly code: 'AntiAffinity';
      readonly host: { readonly id: HostId; readonly name: string };
      /** All members on that host, by name. */
      readonly members: readonly PlacedMember[];
      readonly limit: number;
    }
  | {
      readonly code: 'Affinity';
      /** All placed members, by name: they are on more than one host. */
      readonly members: readonly PlacedMember[];
    };

/**
 * What is not as the policy says, after a member was added again where it is. Anti-affinity: one entry per host with more members than may be there; affinity: one entry
 * when the members are on several hosts. Soft policies only rank: nothing violates them.
 */
export function groupViolations(
  group: Pick<DemandedGroup, 'policy' | 'maxServerPerHost'>,
  members: readonly PlacedMember[],
): readonly GroupViolation[] {
  const byName = members.toSorted((a, b) => (a.name === b.name ? (a.id < b.id ? -1 : 1) : a.name < b.name ? -1 : 1));
  const onHosts = Map.groupBy(
    byName.flatMap((member) => (member.host === null ? [] : [{ member, host: member.host }])),
    ({ host }) => host.id,
  );
  switch (group.policy) {
    case 'anti-affinity': {
      const limit = group.maxServerPerHost ?? 1;
      return [...onHosts.values()]
        .filter((here) => here.length > limit)
        .flatMap((here) => {
          const host = here[0]?.host;
          return host === undefined ? [] : [{ code: 'AntiAffinity' as const, host, members: here.map(({ member }) => member), limit }];
        })
        .toSorted((a, b) => (a.host.name < b.host.name ? -1 : 1));
    }
    case 'affinity':
      return onHosts.size < 2 ? [] : [{ code: 'Affinity', members: byName.filter(({ host }) => host !== null) }];
    case 'soft-affinity':
    case 'soft-anti-affinity':
      return [];
  }
}

/** The violation in one sentence; host names only for those who may see them. */
export function explainViolation(violation: GroupViolation, namesHosts: boolean): string {
  switch (violation.code) {
    case 'AntiAffinity': {
      const names = violation.members.map(({ name }) => name).join(', ');
      return `anti-affinity: ${names} run on ${namesHosts ? violation.host.name : 'one host'}, ${violation.limit} per host at most`;
    }
    case 'Affinity': {
      const where = violation.members.map(({ name, host }) => (namesHosts && host !== null ? `${name} on ${host.name}` : name)).join(', ');
      return `affinity: the members run on different hosts: ${where}`;
    }
  }
}
