import { execFile } from 'node:child_process';
import { once } from 'node:events';
import { createWriteStream } from 'node:fs';
import { mkdtemp, readdir, readFile, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { finished } from 'node:stream/promises';
import { promisify } from 'node:util';
import { afterAll, beforeAll, describe, expect, test, vi } from 'vitest';
import { demoImages } from '../testing/demo-images.ts';
import { controlGuest, untilGuestAnswers } from '../testing/guest-control.ts';
import { type OneNodeCeph, startOneNodeCeph } from '../testing/one-node-ceph.ts';
import { custodyOf, diskImage, moveGuest, newMove, prepare, qemuPid, rootDisk, startTestGuest, testGuest } from '../testing/test-guest.ts';
import { startTwoHosts, type TwoHosts } from '../testing/two-hosts.ts';
import { rbdImageName } from './ceph-pool.ts';
import { createDisk, deleteDisk, deleteServerDisks, findDisk, growDisk, serversWithDisks } from './disk-store.ts';
import { openPool, type Pool, type PoolConfig, poolFacts } from './pool.ts';

const run = promisify(execFile);
/** Needs Ceph's daemons, which nothing else here does: only when asked for. */
const wanted = process.env['GODWIT_CEPH'] === '1';
const mib = 1024 * 1024;

describe.skipIf(!wanted)('on a real Ceph cluster of one node (skipped unless GODWIT_CEPH=1)', () => {
  let two: TwoHosts;
  let cluster: OneNodeCeph;
  let config: PoolConfig & { readonly ceph: NonNullable<PoolConfig['ceph']> };
  let pool: Pool;
  let root: string;
  const rbd = async (...args: readonly string[]): Promise<string> =>
    (await run('rbd', ['--conf', cluster.conf, '--id', cluster.user, '--pool', cluster.pool, ...args])).stdout;
  const images = async (): Promise<readonly string[]> => (await rbd('ls')).split('\n').filter((name) => name !== '');

  beforeAll(async () => {
    root = await mkdtemp('/tmp/gw-ceph-');
    two = await startTwoHosts({ images: await demoImages() });
    // The management network's address outside the hosts, where the hosts find it.
    const address = two.hosts[0].address.replace(/\.\d+$/, '.254');
    cluster = await startOneNodeCeph(join(root, 'cluster'), address);
    const ceph = { pool: cluster.pool, conf: cluster.conf, user: cluster.user };
    config = { name: 'ceph', kind: 'rbd', path: join(root, 'here'), ceph };
    pool = await openPool(config);
    for (const host of two.hosts) {
      const file = join(host.stateDir, 'agent.json');
      const settings = JSON.parse(await readFile(file, 'utf8')) as { readonly pools: readonly object[] };
      const own = { ...config, path: join(host.stateDir, 'ceph') };
      await writeFile(file, JSON.stringify({ ...settings, pools: [...settings.pools, own] }));
      host.process.kill('SIGTERM');
      await two.restart(host);
      // On a busy machine its cluster is still being asked when it serves.
      await vi.waitFor(async () => expect((await host.client.getHost({})).factsJson).toContain('"ceph"'), {
        timeout: 60_000,
        interval: 500,
      });
    }
  }, 240_000);
  afterAll(async () => {
    await two?.close();
    await cluster?.close();
    if (root) await rm(root, { recursive: true, force: true });
  }, 60_000);

  test('the pool is one for whoever opens it, says its room, and is refused with what is missing', async () => {
    const other = await openPool({ ...config, name: 'called-otherwise', path: join(root, 'there') });
    expect(other.poolId).toBe(pool.poolId);
    expect(pool).toMatchObject({ kind: 'shared', io: { directIo: true } });
    const facts = await poolFacts(pool);
    expect(facts).toMatchObject({ kind: 'shared', poolId: pool.poolId });
    expect(facts.freeBytes).toBeGreaterThan(1024 * mib);
    expect(facts.totalBytes).toBeGreaterThanOrEqual(facts.freeBytes);
    const refused = (ceph: Partial<typeof config.ceph>) => openPool({ ...config, ceph: { ...config.ceph, ...ceph } });
    await expect(refused({ pool: 'none' })).rejects.toMatchObject({
      code: 'PoolUnavailable',
      message: expect.stringMatching(/no pool none/),
    });
    await expect(refused({ namespace: 'none' })).rejects.toMatchObject({ code: 'PoolUnavailable' });
    await expect(refused({ user: 'nobody' })).rejects.toMatchObject({ code: 'PoolUnavailable' });
    await expect(refused({ conf: '/nonexistent' })).rejects.toMatchObject({ code: 'PoolUnavailable' });
  }, 60_000);

  test('a disk is an image with the content of its image, found again, grown, never shrunk, and gone', async () => {
    const serverId = '11111111-1111-4111-8111-111111111111';
    const [raw, path] = [join(root, 'made.raw'), join(root, 'made.qcow2')];
    await writeFile(raw, Buffer.alloc(4 * mib, 7));
    await run('qemu-img', ['convert', '-f', 'raw', '-O', 'qcow2', raw, path]);
    const request = {
      serverId,
      diskId: 'root',
      format: 'qcow2',
      sizeBytes: 8 * mib,
      image: { path, format: 'qcow2', virtualSizeBytes: 4 * mib },
    } as const;
    const disk = await createDisk(pool, request);
    const image = rbdImageName(serverId, 'root');
    expect(disk).toMatchObject({ format: 'raw', storage: 'shared', rbd: { pool: cluster.pool, image, user: 'godwit' } });
    expect(await images()).toEqual([image]);
    await rbd('export', '--no-progress', image, join(root, 'out.raw'));
    const bytes = await readFile(join(root, 'out.raw'));
    expect([bytes.length, bytes[0], bytes[4 * mib - 1], bytes[4 * mib]]).toEqual([8 * mib, 7, 7, 0]);
    expect(await createDisk(pool, request)).toEqual(disk);
    await createDisk(pool, { ...request, sizeBytes: 12 * mib });
    await expect(createDisk(pool, request)).rejects.toMatchObject({ code: 'Conflict' });
    await growDisk(pool, disk, 16 * mib);
    await expect(growDisk(pool, disk, 8 * mib)).rejects.toMatchObject({ code: 'BadRequest' });
    const found = await findDisk(pool, disk);
    expect(found?.virtualSizeBytes).toBe(16 * mib);
    expect(await found?.allocatedBytes()).toBe(4 * mib);
    // A making that does not come to its end leaves nothing.
    await expect(
      createDisk(pool, { ...request, diskId: 'data', image: { ...request.image, path: join(root, 'none') } }),
    ).rejects.toMatchObject({ code: 'NotFound' });
    await vi.waitFor(async () => expect(await images()).toEqual([image]), { timeout: 30_000, interval: 500 });
    await rbd('create', '--size', '1M', `${image}.00000000.part`);
    expect(await deleteDisk(pool, serverId, 'root', 'qcow2')).toBe(true);
    expect(await images()).toEqual([]);
    expect(await deleteDisk(pool, serverId, 'root', 'qcow2')).toBe(false);
    expect(await findDisk(pool, disk)).toBeUndefined();
    for (const diskId of ['root', 'data']) await createDisk(pool, { serverId, diskId, format: 'raw', sizeBytes: mib });
    expect(await serversWithDisks(pool)).toEqual([serverId]);
    await deleteServerDisks(pool, serverId);
    expect(await images()).toEqual([]);
  }, 120_000);

  test('a guest starts, writes, moves there and back without a copy, and its disk goes with it', async () => {
    const disks = [{ ...rootDisk('shared'), pool: 'ceph', imageId: diskImage }];
    const guest = testGuest(two.hosts[0], { number: 1, commandLine: 'godwit.memory=10,16 godwit.disk=20', disks });
    await startTestGuest(guest);
    await untilGuestAnswers(two, guest);
    expect(await images()).toEqual([rbdImageName(guest.serverId, 'root')]);
    for (const to of [two.hosts[1], two.hosts[0]] as const) {
      const moved = await moveGuest(guest, to);
      expect(moved.blackoutMs).toBeGreaterThan(0);
      expect(moved.source.timeline.map(({ what }) => what)).toContain('stream set up');
      expect(await controlGuest(two, guest, 'verify')).toMatchObject({ ok: true, missing: 0, torn: 0 });
    }
    // It is never copied, whatever is asked for.
    const asked = newMove(guest, two.hosts[1]);
    const copying = { ...asked, policy: { ...asked.policy, blockMigration: true, localDiskIds: ['root'] } };
    await expect(prepare(guest, copying)).rejects.toThrow(/shared pool ceph: it is never copied/);
    // What it has on its disk, out of the running guest and out of the stopped one.
    let custody = custodyOf(guest);
    for (const state of ['running', 'stopped'] as const) {
      const file = createWriteStream(join(root, `${state}.qcow2`));
      for await (const { data } of guest.at.client.snapshotDisk({ custody, guest: guest.wire, diskId: 'root' }))
        if (!file.write(data)) await once(file, 'drain');
      file.end();
      await finished(file);
      const { stdout } = await run('qemu-img', ['info', '--output=json', '-f', 'qcow2', join(root, `${state}.qcow2`)]);
      expect(JSON.parse(stdout)).toMatchObject({ 'virtual-size': 67_108_864 });
      if (state === 'stopped') break;
      custody = custodyOf(guest, guest.epoch + 50);
      await guest.at.client.destroyGuest({ custody, deleteDisks: false, guest: guest.wire });
    }
    expect(await readdir(join(guest.at.stateDir, 'ceph', 'disks'))).toEqual([]);
    await guest.at.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 51), deleteDisks: true, guest: guest.wire });
    expect(await images()).toEqual([]);
  }, 240_000);

  test('a guest whose QEMU was killed is gone with its disk once the cluster forgets the client', async () => {
    const disks = [{ ...rootDisk('shared'), pool: 'ceph', imageId: diskImage }];
    const guest = testGuest(two.hosts[0], { number: 2, commandLine: 'godwit.disk=20', disks });
    await startTestGuest(guest);
    await untilGuestAnswers(two, guest);
    process.kill(await qemuPid(guest.at, guest), 'SIGKILL');
    await guest.at.client.destroyGuest({ custody: custodyOf(guest, guest.epoch + 50), deleteDisks: true, guest: guest.wire });
    expect(await images()).toEqual([]);
  }, 120_000);
});
