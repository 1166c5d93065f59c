import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Lab, labUp } from './lab-harness.ts';

type Shown = { readonly id: string; readonly status: string; readonly 'OS-EXT-SRV-ATTR:host': string };
type Listed = { readonly Status: string; readonly 'Source Compute': string; readonly 'Dest Compute': string; readonly Type: string };

/** The main job with Debian's client, the commands as the README writes them. */
describe('the main job through Debian’s openstack client', () => {
  let lab: Lab;
  let id: string;
  beforeAll(async () => {
    lab = await labUp(3, { typed: true });
  }, 180_000);
  afterAll(async () => lab?.down(), 90_000);

  const show = async (): Promise<Shown> => lab.openstackJson<Shown>(`server show ${id}`);
  const moves = async (): Promise<readonly Listed[]> => lab.openstackJson<Listed[]>(`server migration list --server ${id}`);

  it('creates a server', async () => {
    await lab.openstack('server create --image godwit-demo --flavor demo.tiny --network demo --wait g1');
    ({ id } = await lab.openstackJson<Shown>('server show g1'));
    expect((await show()).status).toBe('ACTIVE');
  }, 120_000);

  it('live-migrates it to a host of the scheduler’s choice', async () => {
    const before = await show();
    expect(await lab.openstack(`server migrate --live-migration ${id}`)).toBe('');
    const after = await eventually(
      show,
      (server) => server.status === 'ACTIVE' && server['OS-EXT-SRV-ATTR:host'] !== before['OS-EXT-SRV-ATTR:host'],
      60_000,
    );
    expect(after['OS-EXT-SRV-ATTR:host']).toMatch(/^node\d$/);
    expect((await moves()).map((move) => move.Status)).toEqual(['completed']);
  }, 120_000);

  it('live-migrates it to a named host', async () => {
    const before = await show();
    const target = before['OS-EXT-SRV-ATTR:host'] === 'node2' ? 'node1' : 'node2';
    await lab.openstack(`server migrate --live-migration --host ${target} ${id}`);
    await eventually(show, (server) => server.status === 'ACTIVE' && server['OS-EXT-SRV-ATTR:host'] === target, 60_000);
    const listed = await moves();
    expect(listed[0]).toMatchObject({
      Status: 'completed',
      'Dest Compute': target,
      'Source Compute': before['OS-EXT-SRV-ATTR:host'],
      Type: 'live-migration',
    });
  }, 120_000);

  it('refuses the current host with the truth in the record, and changes nothing', async () => {
    const before = await show();
    await lab.openstack(`server migrate --live-migration --host ${before['OS-EXT-SRV-ATTR:host']} ${id}`);
    const listed = await eventually(moves, (list) => list[0]?.Status === 'error', 30_000);
    expect(listed).toHaveLength(3);
    expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': before['OS-EXT-SRV-ATTR:host'] });
  }, 60_000);

  it('lists and shows the hypervisors with their capacity', async () => {
    const list = await lab.openstackJson<readonly Readonly<Record<string, unknown>>[]>('hypervisor list --long');
    expect(list.map((row) => row['Hypervisor Hostname']).toSorted()).toEqual(['metal1', 'node1', 'node2', 'node3']);
    const node = await lab.openstackJson<Readonly<Record<string, unknown>>>('hypervisor show node1');
    expect(node).toMatchObject({ hypervisor_hostname: 'node1', state: 'up', status: 'enabled' });
    expect(node['vcpus']).toBeGreaterThan(0);
    const stats = await lab.openstackJson<Readonly<Record<string, unknown>>>('hypervisor stats show');
    expect(stats['count']).toBe(4);
  }, 60_000);

  it('refuses to move bare metal, and a member', async () => {
    const metal = await lab.openstackJson<readonly { readonly ID: string; readonly Name: string }[]>('server list --all-projects');
    const metalId = metal.find((server) => server.Name === 'metal-demo')?.ID;
    await expect(lab.openstack(`server migrate --live-migration ${metalId}`)).rejects.toThrow(
      /bare metal instances cannot be migrated \(HTTP 409\)/,
    );
    await expect(lab.openstack(`server migrate --live-migration ${id}`, { as: 'demo' })).rejects.toThrow(
      /HTTP 40[34]|No Server found|No server with a name/,
    );
  }, 60_000);

  it('deletes it', async () => {
    await lab.openstack(`server delete --wait ${id}`);
    await expect(lab.openstack(`server show ${id}`)).rejects.toThrow(/No Server found|No server with/i);
  }, 60_000);
});
