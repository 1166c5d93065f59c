import { GodwitError } from '@godwit/domain/errors';
import { expect, test } from 'vitest';
import {
  cephPool,
  cephPoolIdentity,
  isImageOf,
  isUnfinished,
  poolArguments,
  rbdImageName,
  rbdImageOptions,
  serverOfImage,
  spaceOf,
  unfinishedName,
} from './ceph-pool.ts';
import { cephRefusal, isInUse } from './ceph-tool.ts';

const server = '11111111-1111-4111-8111-111111111111';
const other = '11111111-1111-4111-8111-111111111112';

test('a disk’s image is found by its server, and by nobody else', () => {
  const image = rbdImageName(server, 'root');
  expect(image).toBe(`godwit-${server}-root`);
  expect([isImageOf(image, server), isImageOf(image, other), serverOfImage(image)]).toEqual([true, false, server]);
  expect(serverOfImage('somebody-elses')).toBeUndefined();
  const part = unfinishedName(image, '0a0b0c0d');
  expect([isUnfinished(part, image), isUnfinished(image, image), isImageOf(part, server)]).toEqual([true, false, true]);
  expect(isUnfinished(part, rbdImageName(server, 'roo'))).toBe(false);
  // As long as librbd takes it, with a disk's UUID.
  expect(unfinishedName(rbdImageName(server, other), '0a0b0c0d').length).toBeLessThanOrEqual(96);
});

test.each([['a/b'], ['a@b'], ['x'.repeat(60)]])('no image is named after the disk %s', (diskId) =>
  expect(() => rbdImageName(server, diskId)).toThrow(/cannot be the name/),
);

test('tools and QEMU come to the same place', () => {
  const plain = cephPool({ pool: 'vms' });
  expect(poolArguments(plain)).toEqual(['--conf', '/etc/ceph/ceph.conf', '--pool', 'vms']);
  const full = cephPool({ pool: 'vms', namespace: 'n', conf: '/a,b.conf', user: 'godwit' });
  expect(poolArguments(full)).toEqual(['--conf', '/a,b.conf', '--id', 'godwit', '--pool', 'vms', '--namespace', 'n']);
  expect(rbdImageOptions({ ...full, image: 'i' })).toBe(
    'driver=raw,file.driver=rbd,file.pool=vms,file.namespace=n,file.image=i,file.conf=/a,,b.conf,file.user=godwit',
  );
});

test('room is what can still be stored; a pool that the cluster does not have has none', () => {
  const df = {
    stats: { total_bytes: 4294967296 },
    pools: [{ name: 'vms', id: 3, stats: { stored: 1000, bytes_used: 3000, max_avail: 5000 } }],
  };
  expect(spaceOf(df, 'vms')).toEqual({ cephPoolId: 3, totalBytes: 6000, freeBytes: 5000 });
  expect(spaceOf(df, 'vm')).toBeNull();
});

test('two namespaces of a pool are two pools, two names of one are one', () => {
  expect(cephPoolIdentity('f', 3, undefined)).toBe('ceph-f-3');
  expect(cephPoolIdentity('f', 3, 'n')).not.toBe(cephPoolIdentity('f', 3, undefined));
});

const ended = (code: unknown, more: object = {}): Error & { code: unknown } => Object.assign(new Error('ended'), { code, ...more });

test.each([
  // Only the image itself may be called absent: the same number comes of a pool or a keyring that is not found.
  ['NotFound', ended(2), 'rbd: error opening image a: (2) No such file or directory'],
  ['NotFound', ended(2), 'rbd: delete error: (2) No such file or directory'],
  ['PoolUnavailable', ended(2), "rbd: error opening pool 'nope': (2) No such file or directory"],
  ['PoolUnavailable', ended(13), "rbd: couldn't connect to the cluster!"],
  ['PoolUnavailable', ended('ENOENT'), ''],
  ['PoolUnavailable', ended(null, { killed: true }), ''],
  ['NoSpace', ended(28), 'rbd: create error: (28) No space left on device'],
  ['NoSpace', ended(122), 'rbd: create error: (122) Disk quota exceeded'],
  ['Conflict', ended(17), 'rbd: create error: (17) File exists'],
  ['Conflict', ended(39), 'rbd: image has snapshots'],
])('%s: %o, %s', (code, error, stderr) => {
  const refusal = cephRefusal('rbd', error, stderr, 30_000);
  expect(refusal).toMatchObject({ code });
  expect(isInUse(refusal)).toBe(false);
});

test('an image that a client has open is in use, one with snapshots is not', () => {
  const busy = cephRefusal('rbd', ended(16), 'rbd: error: image still has watchers', 1);
  expect([busy instanceof GodwitError, isInUse(busy)]).toEqual([true, true]);
});
