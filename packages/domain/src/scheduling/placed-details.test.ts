import { describe, expect, it } from 'vitest';
import { as, type HostId } from '../ids.ts';
import { decide } from './decide.ts';
import { demandFixture, factsFixture, hostFixture } from './fixtures.ts';
import { placedDetails } from './placed-details.ts';
import { snapshotOf } from './snapshot.ts';
import { storedVerdicts } from './stored-verdicts.ts';

const host = (name: string, over: Parameters<typeof hostFixture>[1] = {}) => hostFixture(name, { id: as<HostId>(name), ...over });

describe('the details of a placement', () => {
  it('tell the chosen host and why, the alternates, and why not the others', () => {
    const hosts = [host('n1'), host('n2'), host('n3', { zone: 'az9' })];
    const demand = demandFixture({
      kind: 'live-migration',
      currentHost: { id: as<HostId>('n1'), name: 'n1' },
      requestedZone: hosts[0]?.zone ?? '',
    });
    const told = placedDetails(storedVerdicts(decide(snapshotOf(hosts), demand, { seed: 1 })));
    expect(told).toMatch(/^n2 was chosen, of 1 host that passes: \d+ % loaded afterwards, no move under way into it\. Not /);
    expect(told).toContain('n1: the server is on this host');
    expect(told).toContain(`n3: zone: the server was created in zone ${hosts[0]?.zone} and stays in it, this host is in az9`);
    expect(told).toMatch(new RegExp(`It was created in zone ${hosts[0]?.zone} and stays in it\\.$`));
  });
  it('say that a server created without a zone may cross', () => {
    const demand = demandFixture({ kind: 'migration', currentHost: { id: as<HostId>('n1'), name: 'n1' } });
    const told = placedDetails(storedVerdicts(decide(snapshotOf([host('n1'), host('n3', { zone: 'az9' })]), demand, { seed: 1 })));
    expect(told).toMatch(/^n3 was chosen/);
    expect(told).toMatch(/It was created without a zone and may cross zones\.$/);
  });
  it('say of a bare metal host only that', () => {
    const demand = demandFixture({ kind: 'migration', currentHost: { id: as<HostId>('n1'), name: 'n1' } });
    const metal = host('metal1', { facts: factsFixture({ hypervisorType: 'ironic', ramMib: 1, machineTypes: [] }) });
    const told = placedDetails(storedVerdicts(decide(snapshotOf([host('n1'), host('n2'), metal]), demand, { seed: 1 })));
    expect(told.split('metal1').length - 1).toBe(1);
    expect(told).toContain('metal1: bare metal: nothing is moved to it');
  });
  it('are empty when nothing passes, and bounded for any number of hosts', () => {
    const hosts = Array.from({ length: 3_000 }, (_, index) => host(`h${index}`, index % 2 === 0 ? {} : { zone: `z${index}` }));
    const zone = hosts[0]?.zone ?? '';
    expect(placedDetails(storedVerdicts(decide(snapshotOf([]), demandFixture({}), { seed: 1 })))).toBe('');
    const told = placedDetails(storedVerdicts(decide(snapshotOf(hosts), demandFixture({ requestedZone: zone }), { seed: 1 })));
    expect(told.length).toBeLessThan(4_000);
    expect(told).toContain('more reasons');
  });
});
