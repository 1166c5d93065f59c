import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeRbd, fakeRbd } from '../testing/fake-rbd.ts';
import { cephPool, rbdImageName } from './ceph-pool.ts';
import { createDisk, deleteDisk, deleteServerDisks, diskSpec, findDisk, growDisk, serversWithDisks } from './disk-store.ts';
import type { Pool } from './pool.ts';
import { makeRbdImage, removeRbdImage } from './rbd-images.ts';

const [server, other] = ['11111111-1111-4111-8111-111111111111', '11111111-1111-4111-8111-111111111112'];
const mib = 1024 * 1024;
const ceph = cephPool({ pool: 'vms', user: 'godwit' });
const image = rbdImageName(server, 'root');
const request = { serverId: server, diskId: 'root', format: 'qcow2', sizeBytes: 8 * mib } as const;

let rbd: FakeRbd;
let pool: Pool;
beforeEach(async () => {
  rbd = await fakeRbd();
  pool = { name: 'ceph', kind: 'shared', path: rbd.dir, poolId: 'ceph-f-1', io: { directIo: true }, ceph };
});
afterEach(() => rbd.close());

test('a disk is made once, grown, never shrunk, and found by its server alone', async () => {
  expect(await findDisk(pool, diskSpec(pool, request))).toBeUndefined();
  const disk = await createDisk(pool, request);
  expect(disk).toMatchObject({ format: 'raw', storage: 'shared', rbd: { image } });
  expect(await rbd.images()).toEqual([image]);
  expect(await createDisk(pool, request)).toEqual(disk);
  await createDisk(pool, { ...request, sizeBytes: 16 * mib });
  expect((await findDisk(pool, disk))?.virtualSizeBytes).toBe(16 * mib);
  await expect(createDisk(pool, request)).rejects.toMatchObject({ code: 'Conflict' });
  await expect(growDisk(pool, disk, mib)).rejects.toMatchObject({ code: 'BadRequest' });
  await createDisk(pool, { ...request, serverId: other });
  expect(await serversWithDisks(pool)).toEqual([server, other]);
  await deleteServerDisks(pool, server);
  expect(await rbd.images()).toEqual([rbdImageName(other, 'root')]);
});

test('what is not made whole leaves nothing, and says why', async () => {
  const content = { path: '/nonexistent', format: 'raw' } as const;
  await expect(makeRbdImage(ceph, image, mib, content)).rejects.toThrow();
  await expect.poll(() => rbd.images(), { timeout: 10_000 }).toEqual([]);
  // Its qemu-img was killed, and counts as a client still: the failure is not held back for that.
  await rbd.openFor(null);
  const startedAt = performance.now();
  await expect(makeRbdImage(ceph, image, mib, content)).rejects.toThrow();
  expect(performance.now() - startedAt).toBeLessThan(20_000);
  expect(await rbd.images()).toEqual([expect.stringMatching(/[.]part$/)]);
  await rbd.openFor(0);
  await expect.poll(() => rbd.images(), { timeout: 10_000 }).toEqual([]);
  await rbd.failNext('create error: (28) No space left on device', 28);
  await expect(createDisk(pool, request)).rejects.toMatchObject({ code: 'NoSpace' });
});

test('nobody is told that a disk is absent when nobody could look', async () => {
  await createDisk(pool, request);
  for (const [said, code] of [
    ["error opening pool 'vms': (2) No such file or directory", 2],
    ["couldn't connect to the cluster!", 13],
  ] as const) {
    await rbd.failNext(said, code);
    await expect(findDisk(pool, diskSpec(pool, request))).rejects.toMatchObject({
      code: 'PoolUnavailable',
      message: expect.stringContaining(said),
    });
    await rbd.failNext(said, code);
    await expect(removeRbdImage(ceph, image)).rejects.toMatchObject({ code: 'PoolUnavailable' });
  }
  expect(await rbd.images()).toEqual([image]);
});

test('a removal waits for a client that died with the image open, and the order repeated meanwhile is the same one', async () => {
  await createDisk(pool, request);
  await rbd.openFor(1);
  await rbd.calls();
  const orders = [removeRbdImage(ceph, image), removeRbdImage(ceph, image)];
  expect(await Promise.all(orders)).toEqual([true, true]);
  expect(await rbd.calls()).toEqual([`rm ${image}`, `rm ${image}`]);
  expect(await rbd.images()).toEqual([]);
  // Nothing of it is kept: the next one looks.
  expect(await removeRbdImage(ceph, image)).toBe(false);
});

test('a disk goes with what dead makings of it have left, and nothing else does', async () => {
  await createDisk(pool, request);
  await createDisk(pool, { ...request, diskId: 'data' });
  for (const left of [`${image}.00000000.part`, `${rbdImageName(server, 'data')}.00000000.part`])
    await makeRbdImage(ceph, left, mib, undefined);
  expect(await deleteDisk(pool, server, 'root', 'qcow2')).toBe(true);
  expect(await rbd.images()).toEqual([rbdImageName(server, 'data'), `${rbdImageName(server, 'data')}.00000000.part`]);
  expect(await deleteDisk(pool, server, 'root', 'qcow2')).toBe(false);
});
