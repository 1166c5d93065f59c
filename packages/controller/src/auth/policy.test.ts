import { describe, expect, it } from 'vitest';
import { allows, assertAllowed, policyTable } from './policy.ts';

const as = (...roles: string[]) => ({ projectId: 'p', roles, isAdmin: roles.includes('admin') });

describe('policies', () => {
  it('admin → member → reader → anyone', () => {
    expect(allows(as(), 'limits')).toBe(true);
    expect(allows(as(), 'servers:index')).toBe(false);
    expect(allows(as('reader'), 'servers:index')).toBe(true);
    expect(allows(as('reader'), 'servers:create')).toBe(false);
    expect(allows(as('member'), 'servers:create')).toBe(true);
    expect(allows(as('member'), 'os-migrations:index')).toBe(false);
    expect(allows(as('admin'), 'os-migrations:index')).toBe(true);
    expect(allows({ ...as('member'), projectId: '' }, 'limits')).toBe(false);
  });
  it('say which rule refused, in the names of the API', () => {
    expect(() => assertAllowed(as('member'), 'os-migrations:index')).toThrow(
      "Policy doesn't allow os_compute_api:os-migrations:index to be performed.",
    );
    expect(() => assertAllowed(as('member'), 'compute:servers:create:requested_destination')).toThrow(
      "Policy doesn't allow compute:servers:create:requested_destination to be performed.",
    );
  });
  it('keep everything that moves servers or shows hosts to admins', () => {
    const guarded = /migrat|evacuate|hypervisors|services|aggregates|os-hosts|zone:detail|all_tenants|forced_host|requested_destination/;
    const found = policyTable.filter(({ rule }) => guarded.test(rule));
    expect(found.length).toBeGreaterThan(25);
    expect(found.filter(({ who }) => who !== 'admin')).toEqual([]);
  });
  it('give a rule to one kind of caller only', () => {
    const rules = new Set(policyTable.map(({ rule }) => rule));
    expect(new Set(policyTable.map(({ rule, who }) => `${rule} ${who}`)).size).toBe(rules.size);
  });
});
