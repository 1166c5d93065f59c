import fc from 'fast-check';
import { describe, expect, it } from 'vitest';
import { as, type HostId, type ServerId } from '../ids.ts';
import { explainViolation, groupViolations, type PlacedMember } from './group-violations.ts';

const member = (name: string, host: string | null): PlacedMember => ({
  id: as<ServerId>(`id-${name}`),
  name,
  host: host === null ? null : { id: as<HostId>(host), name: host },
});
const told = (policy: Parameters<typeof groupViolations>[0]['policy'], max: number | null, ...members: PlacedMember[]) =>
  groupViolations({ policy, maxServerPerHost: max }, members).map((one) => explainViolation(one, true));

describe('violations of a group', () => {
  it('name the host and the servers of anti-affinity, counted against the limit', () => {
    expect(told('anti-affinity', null, member('b', 'n1'), member('a', 'n1'), member('c', 'n2'), member('d', null))).toEqual([
      'anti-affinity: a, b run on n1, 1 per host at most',
    ]);
    expect(told('anti-affinity', 2, member('b', 'n1'), member('a', 'n1'))).toEqual([]);
  });
  it('name every place of an affinity group that is spread', () => {
    expect(told('affinity', null, member('b', 'n1'), member('a', 'n2'))).toEqual([
      'affinity: the members run on different hosts: a on n2, b on n1',
    ]);
    expect(told('affinity', null, member('b', 'n1'), member('a', 'n1'), member('c', null))).toEqual([]);
  });
  it('are none of soft policies', () => {
    for (const policy of ['soft-affinity', 'soft-anti-affinity'] as const)
      expect(told(policy, null, member('a', 'n1'), member('b', 'n1'), member('c', 'n2'))).toEqual([]);
  });
  it('tell no host to those who may not see any', () => {
    for (const policy of ['affinity', 'anti-affinity'] as const)
      for (const one of groupViolations({ policy, maxServerPerHost: null }, [member('a', 'n1'), member('b', 'n1'), member('c', 'n2')]))
        expect(explainViolation(one, false)).not.toMatch(/n1|n2/);
  });
  it('are there exactly when some host has too many, whatever the order', () => {
    fc.assert(
      fc.property(
        fc.array(fc.option(fc.constantFrom('n1', 'n2', 'n3')), { maxLength: 8 }),
        fc.integer({ min: 1, max: 3 }),
        (hosts, limit) => {
          const members = hosts.map((host, index) => member(`s${index}`, host));
          const found = groupViolations({ policy: 'anti-affinity', maxServerPerHost: limit }, members);
          const tooMany = ['n1', 'n2', 'n3'].filter((name) => hosts.filter((host) => host === name).length > limit);
          expect(found.flatMap((one) => (one.code === 'AntiAffinity' ? [one.host.name] : []))).toEqual(tooMany);
          expect(groupViolations({ policy: 'anti-affinity', maxServerPerHost: limit }, members.toReversed())).toEqual(found);
          expect(groupViolations({ policy: 'affinity', maxServerPerHost: null }, members).length).toBe(
            new Set(hosts.filter((host) => host !== null)).size > 1 ? 1 : 0,
          );
        },
      ),
    );
  });
});
