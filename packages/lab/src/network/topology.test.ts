import fc from 'fast-check';
import { describe, expect, test } from 'vitest';
import { belongsToLab, labIdOf, mostHosts, mostInterfaceNameLength, type NetworkStep, planTopology } from './topology.ts';

const interfaceNames = (step: NetworkStep): readonly string[] => {
  switch (step.kind) {
    case 'namespace':
      return [];
    case 'bridge':
      return [`${step.namespace}/${step.name}`];
    case 'cable':
      return [`${step.end.namespace}/${step.end.name}`, `${step.port.namespace}/${step.port.name}`];
  }
};

describe('planTopology', () => {
  test('every name is unique in its namespace and short enough for Linux', () => {
    fc.assert(
      fc.property(fc.integer({ min: 1, max: mostHosts }), (hosts) => {
        const names = planTopology('gw012345', hosts).steps.flatMap(interfaceNames);
        expect(new Set(names).size).toBe(names.length);
        for (const name of names) expect(name.split('/')[1]?.length).toBeLessThanOrEqual(mostInterfaceNameLength);
      }),
      { numRuns: 30 },
    );
  });

  test('every address is unique and nothing is used before it is made', () => {
    const made = new Set<string>();
    const seen = new Set<string>();
    for (const step of planTopology('gw012345', mostHosts).steps) {
      if (step.kind === 'namespace') made.add(step.name);
      if (step.kind === 'bridge') {
        expect(made).toContain(step.namespace);
        made.add(`${step.namespace}/${step.name}`);
      }
      if (step.kind === 'cable') {
        expect(made).toContain(step.end.namespace);
        expect(made).toContain(`${step.port.namespace}/${step.port.bridge}`);
      }
      const address = step.kind === 'bridge' ? step.address : step.kind === 'cable' ? step.end.address : undefined;
      if (address !== undefined) {
        expect(seen).not.toContain(address);
        seen.add(address);
      }
    }
  });

  test.each([0, -1, 1.5, Number.NaN, mostHosts + 1])('refuses %s hosts', (hosts) => {
    expect(() => planTopology('gw012345', hosts)).toThrow(RangeError);
  });
});

test('two directories have two ids, and neither owns the namespaces of the other', () => {
  const one = labIdOf('/srv/a');
  const other = labIdOf('/srv/b');
  expect(one).not.toBe(other);
  expect(labIdOf('/srv/a')).toBe(one);
  expect(belongsToLab(one, planTopology(one, 1).fabricNamespace)).toBe(true);
  expect(belongsToLab(one, planTopology(other, 1).fabricNamespace)).toBe(false);
  expect(belongsToLab('gw01', 'gw012-node1')).toBe(false);
});
