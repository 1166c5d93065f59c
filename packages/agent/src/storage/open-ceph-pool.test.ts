import { afterEach, beforeEach, expect, test } from 'vitest';
import { type FakeTools, fakeTools } from '../testing/fake-tools.ts';
import { cephPool } from './ceph-pool.ts';
import { cephTool } from './ceph-tool.ts';
import { openCephPool } from './open-ceph-pool.ts';

let tools: FakeTools;
beforeEach(async () => {
  tools = await fakeTools();
});
afterEach(() => tools.close());

const df = JSON.stringify({ pools: [{ name: 'vms', id: 3, stats: { stored: 1, max_avail: 2 } }] });
/** As they answer where nothing is missing: QEMU gets as far as to look for an image that is not there. */
const works = {
  ceph: `case "$*" in *fsid) echo f-s-i-d;; *) echo '${df}';; esac`,
  rbd: 'exit 0',
  'qemu-img': 'echo "qemu-img: Could not open: error reading header from godwit-probe: No such file or directory" >&2; exit 1',
};
const says = (text: string, code = 1): string => `echo "${text}" >&2; exit ${code}`;
let asked = 0;
/** What is known of a cluster's room is remembered by its configuration. */
const pool = (name = 'vms') => cephPool({ pool: name, conf: `/etc/ceph/${++asked}.conf`, user: 'godwit' });

test('is the same pool for whoever comes to it', async () => {
  await tools.write(works);
  expect(await openCephPool(pool())).toBe('ceph-f-s-i-d-3');
  expect(await openCephPool({ ...pool(), namespace: 'n' })).toBe('ceph-f-s-i-d-3-n');
});

test.each([
  ['no ceph-common', { ceph: null }, /no ceph: install ceph-common/],
  ['no configuration', { ceph: says('Error initializing cluster client: ObjectNotFound', 1) }, /refuses ceph: .*ObjectNotFound/],
  [
    'a wrong user or keyring',
    { ceph: says('[errno 13] RADOS permission denied (error connecting to the cluster)', 13) },
    /permission denied/,
  ],
  ['no monitor in reach', { ceph: says('[errno 110] RADOS timed out (error connecting to the cluster)', 110) }, /timed out/],
  ['no such namespace', { rbd: says("rbd: error opening pool 'vms': (2) No such file or directory", 2) }, /error opening pool/],
  ['a QEMU without the driver', { 'qemu-img': says("qemu-img: Could not open: Unknown driver 'rbd'") }, /install qemu-block-extra/],
  [
    'a QEMU that is refused',
    { 'qemu-img': says('qemu-img: Could not open: error connecting: Permission denied') },
    /QEMU cannot open the Ceph pool: .*Permission/,
  ],
  // Also "No such file", and not of an image.
  [
    'a QEMU without the configuration',
    { 'qemu-img': says('qemu-img: error reading conf file /x: No such file or directory') },
    /QEMU cannot open the Ceph pool: .*conf file/,
  ],
] as const)('%s is said as such', async (_what, missing, message) => {
  await tools.write({ ...works, ...missing });
  await expect(openCephPool(pool())).rejects.toMatchObject({ code: 'PoolUnavailable', message: expect.stringMatching(message) });
});

test('a pool that the cluster has not is said as such', async () => {
  await tools.write(works);
  await expect(openCephPool(pool('nope'))).rejects.toMatchObject({ code: 'PoolUnavailable', message: 'the Ceph cluster has no pool nope' });
});

test('a cluster that says nothing is not waited for', async () => {
  await tools.write({ ceph: 'echo $$ > "$(dirname "$0")/pid"; exec sleep 60' });
  const asking = cephTool('ceph', ['fsid'], { deadlineMs: 300 });
  await expect(asking).rejects.toMatchObject({ code: 'PoolUnavailable', message: 'the Ceph cluster did not answer ceph in 0.3 s' });
});
