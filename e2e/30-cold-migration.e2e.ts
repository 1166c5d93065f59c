import { readdir, writeFile } from 'node:fs/promises';
import path from 'node:path';
import { type ClientProbe, startProbe } from '@godwit/lab/client/probe';
import { readLabPlan } from '@godwit/lab/lab-plan';
import { askSupervisor } from '@godwit/lab/supervisor/control-client';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { eventually, type Lab, labUp } from './lab-harness.ts';

type Shown = {
  readonly id: string;
  readonly status: string;
  readonly 'OS-EXT-SRV-ATTR:host': string;
  readonly addresses: Readonly<Record<string, readonly string[]>>;
  readonly flavor: { readonly original_name: string };
};
type Listed = { readonly Status: string; readonly 'Source Compute': string; readonly 'Dest Compute': string; readonly Type: string };

const userDataText = '#cloud-config\nhostname: cold\n';

/** Cold migration and resize with Debian's client, as an operator types it, of a guest that numbers its fsynced writes. */
describe('cold migration through Debian’s openstack client', () => {
  let lab: Lab;
  let probe: ClientProbe;
  let id: string;
  let address: string;
  beforeAll(async () => {
    lab = await labUp();
    const plan = await readLabPlan(lab.dir);
    if (plan === undefined) throw new Error(`no lab in ${lab.dir}`);
    probe = await startProbe(plan.clientNamespace);
    const userData = path.join(lab.dir, 'user-data');
    await writeFile(userData, userDataText);
    await lab.openstack(
      `server create --image godwit-demo --flavor demo.tiny --network demo --use-config-drive --user-data ${userData} --property role=db --wait cold1`,
    );
    const shown = await lab.openstackJson<Shown>('server show cold1');
    id = shown.id;
    address = Object.values(shown.addresses).flat()[0] ?? '';
  }, 240_000);
  afterAll(async () => {
    await probe?.stop();
    await lab?.down();
  }, 90_000);

  const show = async (): Promise<Shown> => lab.openstackJson<Shown>(`server show ${id}`);
  const hostOf = (server: Shown): string => server['OS-EXT-SRV-ATTR:host'];
  const reached = (...wanted: readonly string[]): Promise<Shown> => eventually(show, ({ status }) => wanted.includes(status), 100_000);
  const newest = async (): Promise<Listed | undefined> => (await lab.openstackJson<Listed[]>(`server migration list --server ${id}`))[0];
  const events = async (): Promise<readonly string[]> =>
    (await lab.openstackJson<readonly { readonly Action: string }[]>(`server event list ${id}`)).map(({ Action }) => Action);

  /** Lets the guest write for a moment; resolves with the last record that its disk acknowledged. */
  const write = async (): Promise<number> => {
    const before =
      (
        await eventually(
          () => probe.status(address).catch(() => null),
          (status) => status !== null,
          60_000,
        )
      )?.disk.lastAcknowledged ?? 0;
    await probe.control(address, 'disk 200');
    const written = await eventually(
      () => probe.status(address).catch(() => null),
      (status) => (status?.disk.lastAcknowledged ?? 0) > before + 50,
      60_000,
    );
    return written?.disk.lastAcknowledged ?? 0;
  };
  /** After a move: the guest has booted again, answers, and every record up to `last` is on its disk, whole. */
  const kept = async (last: number): Promise<void> => {
    const verdict = await eventually(
      () => probe.verifyDisk(address).catch(() => null),
      (answer) => answer !== null,
      60_000,
    );
    expect(verdict).toMatchObject({ ok: true, torn: 0, missing: 0 });
    expect(verdict?.lastFound).toBeGreaterThanOrEqual(last);
  };

  /** The hosts whose local pool has the guest's disk. */
  const holders = async (): Promise<readonly string[]> => {
    const nodes = ['node1', 'node2', 'node3'];
    const disks = await Promise.all(
      nodes.map((node) => readdir(path.join(lab.dir, node, 'local', 'disks', id)).catch(() => [] as readonly string[])),
    );
    return nodes.filter((_node, index) => disks[index]?.some((file) => file.endsWith('.qcow2')));
  };

  /** What is cleared away behind an answer is gone soon. */
  const onlyOn = (node: string): Promise<unknown> => eventually(holders, (nodes) => nodes.join() === node, 30_000);

  /** A file of the config drive, mounted and read by the guest. */
  const told = async (file: string): Promise<string> => {
    const answer = (await probe.control(address, `config openstack/latest/${file}`)) as { readonly hex: string };
    return Buffer.from(answer.hex, 'hex').toString();
  };

  it('is told who it is by its config drive, the same after a live move', async () => {
    const before = await show();
    await eventually(
      () => probe.status(address).catch(() => null),
      (status) => status !== null,
      60_000,
    );
    const metadata = await told('meta_data.json');
    expect(JSON.parse(metadata)).toMatchObject({ uuid: id, name: 'cold1', hostname: 'cold1', meta: { role: 'db' } });
    expect(await told('user_data')).toBe(userDataText);
    expect(JSON.parse(await told('network_data.json'))).toMatchObject({ networks: [{ type: 'ipv4', ip_address: address }] });
    expect(await told('vendor_data.json')).toBe('{}');
    await lab.openstack(`server migrate --live-migration ${id}`);
    const after = await eventually(show, (server) => server.status === 'ACTIVE' && hostOf(server) !== hostOf(before), 60_000);
    expect(after.status).toBe('ACTIVE');
    expect(await told('meta_data.json')).toBe(metadata);
    expect(await told('user_data')).toBe(userDataText);
  }, 240_000);

  it('is suspended to its host’s storage, and goes on from there: the same boot, the same memory, the same drive', async () => {
    const before = await probe.status(address);
    const host = hostOf(await show());
    expect(await lab.openstack(`server suspend ${id}`)).toBe('');
    expect(hostOf(await reached('SUSPENDED', 'ERROR'))).toBe(host);
    await expect(lab.openstack(`server migrate --live-migration ${id}`)).rejects.toThrow(/vm_state suspended \(HTTP 409\)/);
    expect(await lab.openstack(`server resume ${id}`)).toBe('');
    expect(await reached('ACTIVE', 'ERROR')).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': host });
    const after = await eventually(
      () => probe.status(address).catch(() => null),
      (status) => status !== null,
      60_000,
    );
    expect(after?.nonce).toBe(before.nonce);
    expect(after?.heartbeat.counter).toBeGreaterThan(before.heartbeat.counter);
    expect(after?.memory.pagesCorrupt).toBe(0);
    expect(await told('user_data')).toBe(userDataText);
  }, 240_000);

  it('migrates to a host of the scheduler’s choice: VERIFY_RESIZE, and ACTIVE there when confirmed', async () => {
    const before = await show();
    const last = await write();
    expect(await lab.openstack(`server migrate ${id}`)).toBe('');
    const waiting = await reached('VERIFY_RESIZE', 'ERROR');
    expect(waiting.status).toBe('VERIFY_RESIZE');
    expect(hostOf(waiting)).not.toBe(hostOf(before));
    expect(await newest()).toMatchObject({
      Status: 'finished',
      Type: 'migration',
      'Source Compute': hostOf(before),
      'Dest Compute': hostOf(waiting),
    });
    await kept(last);
    expect(await lab.openstack(`server migration confirm ${id}`)).toBe('');
    const after = await reached('ACTIVE', 'ERROR');
    expect(after.status).toBe('ACTIVE');
    expect(hostOf(after)).toBe(hostOf(waiting));
    expect(await newest()).toMatchObject({ Status: 'confirmed' });
    expect(await events()).toEqual(['confirmResize', 'migrate', 'resume', 'suspend', 'live-migration', 'create']);
    await kept(last);
  }, 240_000);

  it('reverts to the source, with what was written on either side', async () => {
    const before = await show();
    await write();
    await lab.openstack(`server migrate --wait ${id}`);
    const last = await write();
    expect(await lab.openstack(`server migration revert ${id}`)).toBe('');
    const after = await reached('ACTIVE', 'ERROR');
    expect(after.status).toBe('ACTIVE');
    expect(hostOf(after)).toBe(hostOf(before));
    expect(await newest()).toMatchObject({ Status: 'reverted' });
    await kept(last);
  }, 240_000);

  it('a stopped server ends SHUTOFF on the named host, and starts there with its data', async () => {
    const before = await show();
    const target = hostOf(before) === 'node2' ? 'node1' : 'node2';
    const last = await write();
    await lab.openstack(`server stop ${id}`);
    await reached('SHUTOFF');
    await lab.openstack(`server migrate --host ${target} ${id}`);
    expect(hostOf(await reached('VERIFY_RESIZE', 'ERROR'))).toBe(target);
    await lab.openstack(`server migration confirm ${id}`);
    const after = await reached('SHUTOFF', 'ACTIVE', 'ERROR');
    expect(after.status).toBe('SHUTOFF');
    expect(hostOf(after)).toBe(target);
    await lab.openstack(`server start ${id}`);
    expect(hostOf(await reached('ACTIVE'))).toBe(target);
    await kept(last);
  }, 240_000);

  it('resizes to another flavor and back', async () => {
    const last = await write();
    await lab.openstack(`server resize --flavor demo.small --wait ${id}`);
    expect((await show()).flavor.original_name).toBe('demo.small');
    await kept(last);
    await lab.openstack(`server resize revert ${id}`);
    expect((await reached('ACTIVE', 'ERROR')).flavor.original_name).toBe('demo.tiny');
    expect(await newest()).toMatchObject({ Status: 'reverted', Type: 'resize' });
    await kept(last);
  }, 240_000);

  it('says why there is no host, and leaves the guest running', async () => {
    const before = await show();
    const others = ['node1', 'node2', 'node3'].filter((name) => name !== hostOf(before));
    for (const name of others) await lab.openstack(`compute service set --disable ${name} nova-compute`);
    try {
      await lab.openstack(`server migrate ${id}`);
      expect(await eventually(newest, (row) => row?.Status === 'error', 30_000)).toMatchObject({ Type: 'migration' });
      expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(before) });
    } finally {
      for (const name of others) await lab.openstack(`compute service set --enable ${name} nova-compute`);
    }
  }, 240_000);

  it('refuses the current host, an unknown one, bare metal, and a confirmation of nothing', async () => {
    const before = await show();
    await expect(lab.openstack(`server migrate --host ${hostOf(before)} ${id}`)).rejects.toThrow(/HTTP 400/);
    await expect(lab.openstack(`server migrate --host nowhere ${id}`)).rejects.toThrow(/Compute host nowhere could not be found/);
    await expect(lab.openstack(`server migrate --host metal1 ${id}`)).rejects.toThrow(/HTTP 400/);
    await expect(lab.openstack(`server migration confirm ${id}`)).rejects.toThrow(/HTTP 409/);
    const all = await lab.openstackJson<readonly { readonly ID: string; readonly Name: string }[]>('server list --all-projects');
    const metal = all.find((server) => server.Name === 'metal-demo')?.ID;
    await expect(lab.openstack(`server migrate ${metal}`)).rejects.toThrow(/bare metal instances cannot be migrated \(HTTP 409\)/);
    await expect(lab.openstack(`server resize --flavor demo.small ${metal}`)).rejects.toThrow(/HTTP 409/);
    expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(before) });
  }, 120_000);

  it('finishes although the controller is killed in the middle', async () => {
    const before = await show();
    const last = await write();
    await lab.openstack(`server migrate ${id}`);
    await askSupervisor(lab.dir, { op: 'kill', process: 'controller' });
    const waiting = await eventually(
      () => show().catch(() => null),
      (server) => server?.status === 'VERIFY_RESIZE' || server?.status === 'ERROR',
      100_000,
    );
    expect(waiting?.status).toBe('VERIFY_RESIZE');
    expect(waiting === null ? '' : hostOf(waiting)).not.toBe(hostOf(before));
    await kept(last);
  }, 240_000);

  it('is not reverted while its source is down, and says so; then it is', async () => {
    const source = (await newest())?.['Source Compute'] ?? '';
    const up = async (): Promise<string> =>
      (await lab.openstackJson<readonly { readonly State: string }[]>(`compute service list --host ${source}`))[0]?.State ?? '';
    await askSupervisor(lab.dir, { op: 'stop', process: `agent-${source}` });
    try {
      await eventually(up, (state) => state === 'down', 60_000);
      await expect(lab.openstack(`server migration revert ${id}`)).rejects.toThrow(/the host that it came from is down.*HTTP 409/);
      expect((await show()).status).toBe('VERIFY_RESIZE');
    } finally {
      await askSupervisor(lab.dir, { op: 'start', process: `agent-${source}` });
    }
    await eventually(up, (state) => state === 'up', 60_000);
    await lab.openstack(`server migration revert ${id}`);
    expect(hostOf(await reached('ACTIVE', 'ERROR'))).toBe(source);
  }, 240_000);

  it('becomes an image while it runs, and is rebuilt from it although the controller is killed meanwhile', async () => {
    const inImage = await write();
    const metadata = await told('meta_data.json');
    await lab.openstack(`server image create --name cold-snapshot --wait ${id}`);
    const image = await lab.openstackJson<{ readonly id: string; readonly status: string }>('image show cold-snapshot');
    expect(image.status).toBe('active');
    const newest = await write();
    expect(newest).toBeGreaterThan(inImage);
    await lab.openstack(`server rebuild --image cold-snapshot ${id}`);
    await askSupervisor(lab.dir, { op: 'kill', process: 'controller' });
    const after = await eventually(
      () => show().catch(() => null),
      (server) => server?.status === 'ACTIVE' || server?.status === 'ERROR',
      100_000,
    );
    expect(after?.status).toBe('ACTIVE');
    const verdict = await eventually(
      () => probe.verifyDisk(address).catch(() => null),
      (answer) => answer !== null,
      60_000,
    );
    expect(verdict).toMatchObject({ ok: true, torn: 0, missing: 0 });
    expect(verdict?.lastFound).toBeGreaterThanOrEqual(inImage);
    expect(verdict?.lastFound).toBeLessThan(newest);
    // The old disk is gone, the new one alone is there.
    const disks = await readdir(path.join(lab.dir, 'shared', 'disks', id)).catch(() => [] as readonly string[]);
    expect(disks.filter((file) => /\.(qcow2|raw|part)$/.test(file))).toHaveLength(1);
    // The drive is written anew.
    type Told = { readonly uuid: string; readonly random_seed: string };
    const [before, now] = [JSON.parse(metadata) as Told, JSON.parse(await told('meta_data.json')) as Told];
    expect(now.uuid).toBe(before.uuid);
    expect(now.random_seed).not.toBe(before.random_seed);
    await lab.openstack('image delete cold-snapshot');
  }, 240_000);

  it('is rescued from an image with its own disk as the second, and has everything afterwards', async () => {
    const last = await write();
    await lab.openstack(`server rescue --image godwit-demo ${id}`);
    expect((await reached('RESCUE', 'SHUTOFF', 'ERROR')).status).toBe('RESCUE');
    // The guest reads its first disk: it is the image's, without a record.
    const rescued = await eventually(
      () => probe.verifyDisk(address).catch(() => null),
      (answer) => answer !== null,
      60_000,
    );
    expect(rescued?.records).toBe(0);
    await expect(lab.openstack(`server migrate ${id}`)).rejects.toThrow(/HTTP 409/);
    await lab.openstack(`server unrescue ${id}`);
    expect((await reached('ACTIVE', 'SHUTOFF', 'ERROR')).status).toBe('ACTIVE');
    await kept(last);
  }, 240_000);

  it('is confirmed by a delete', async () => {
    await lab.openstack(`server migrate --wait ${id}`);
    await lab.openstack(`server delete --wait ${id}`);
    // The client looks a server up before it filters by it, and this one is gone.
    const all = await lab.openstackJson<readonly (Listed & { readonly 'Server UUID': string })[]>('server migration list');
    expect(all.find((row) => row['Server UUID'] === id)).toMatchObject({ Status: 'confirmed' });
  }, 120_000);

  it('copies local disks, there and back, and leaves none behind', async () => {
    await lab.openstack('server create --image godwit-demo --flavor demo.local --network demo --wait cold2');
    const made = await lab.openstackJson<Shown>('server show cold2');
    id = made.id;
    address = Object.values(made.addresses).flat()[0] ?? '';
    const source = hostOf(made);
    expect(await holders()).toEqual([source]);
    const first = await write();
    await lab.openstack(`server migrate --wait ${id}`);
    const moved = await show();
    expect(moved.status).toBe('VERIFY_RESIZE');
    expect(await holders()).toEqual([source, hostOf(moved)].toSorted());
    await kept(first);
    const second = await write();
    await lab.openstack(`server migration revert ${id}`);
    expect(hostOf(await reached('ACTIVE', 'ERROR'))).toBe(source);
    await kept(second);
    await onlyOn(source);
    await lab.openstack(`server migrate --wait --host ${hostOf(moved)} ${id}`);
    await lab.openstack(`server migration confirm ${id}`);
    expect(hostOf(await reached('ACTIVE', 'ERROR'))).toBe(hostOf(moved));
    await kept(second);
    await onlyOn(hostOf(moved));
  }, 280_000);

  it('is shelved although the controller is killed meanwhile, has nothing on any host then, and has everything once it is unshelved', async () => {
    const last = await write();
    await lab.openstack(`server shelve ${id}`);
    await askSupervisor(lab.dir, { op: 'kill', process: 'controller' });
    const away = await eventually(
      () => show().catch(() => null),
      (server) => ['SHELVED_OFFLOADED', 'SHUTOFF', 'ERROR'].includes(server?.status ?? ''),
      100_000,
    );
    expect(away).toMatchObject({ status: 'SHELVED_OFFLOADED', 'OS-EXT-SRV-ATTR:host': null });
    expect(await holders()).toEqual([]);
    expect(await lab.openstackJson('image list --name cold2-shelved')).toMatchObject([{ Status: 'active' }]);
    await lab.openstack(`server unshelve --wait ${id}`);
    const back = await show();
    expect(back.status).toBe('ACTIVE');
    await kept(last);
    expect(await holders()).toEqual([hostOf(back)]);
    expect(await lab.openstackJson('image list --name cold2-shelved')).toEqual([]);
  }, 240_000);

  it('block-migrates the running guest with its disk; what contradicts the storage is recorded, and changes nothing', async () => {
    const before = await show();
    const last = await write();
    const ended = (...statuses: readonly string[]) => eventually(newest, (row) => statuses.includes(row?.Status ?? ''), 60_000);
    expect(await lab.openstack(`server migrate --live-migration --block-migration ${id}`)).toBe('');
    await eventually(newest, (row) => row?.Type === 'live-migration', 20_000);
    expect(await ended('completed', 'failed', 'error')).toMatchObject({ Status: 'completed', 'Source Compute': hostOf(before) });
    const after = await show();
    expect(after.status).toBe('ACTIVE');
    expect(hostOf(after)).not.toBe(hostOf(before));
    // The guest went on writing all the while.
    await kept(last);
    expect(await eventually(holders, (nodes) => nodes.length === 1, 20_000)).toEqual([hostOf(after)]);
    await lab.openstack(`server migrate --live-migration --shared-migration ${id}`);
    await ended('error');
    expect(await show()).toMatchObject({ status: 'ACTIVE', 'OS-EXT-SRV-ATTR:host': hostOf(after) });
    await expect(lab.openstack(`--os-compute-api-version 2.33 server migrate --live-migration --shared-migration ${id}`)).rejects.toThrow(
      /not on shared storage.*HTTP 400/,
    );
    await lab.openstack(`server delete --wait ${id}`);
    expect(await holders()).toEqual([]);
  }, 240_000);
});
