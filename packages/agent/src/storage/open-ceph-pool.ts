import { GodwitError } from '@godwit/domain/errors';
import { type CephPool, cephPoolIdentity, clusterArguments, poolArguments, rbdImageOptions } from './ceph-pool.ts';
import { cephSpace } from './ceph-space.ts';
import { cephTool } from './ceph-tool.ts';
import { qemuImg } from './qemu-img.ts';

const answerMs = 20_000;
const noImage = 'godwit-probe';

/**
 * Asks the cluster who it is, that it has the pool, and that QEMU comes to it; returns the pool's identity. Throws GodwitError PoolUnavailable naming what is missing: ceph-common, QEMU's driver, a cluster that answers, the pool, a
 * permission.
 */
export async function openCephPool(ceph: CephPool): Promise<string> {
  const fsid = (await cephTool('ceph', [...clusterArguments(ceph), 'fsid'])).trim();
  const { cephPoolId } = await cephSpace(ceph);
  // That the namespace is there, and may be read.
  await cephTool('rbd', ['ls', ...poolArguments(ceph)]);
  await requireQemuRbd(ceph);
  return cephPoolIdentity(fsid, cephPoolId, ceph.namespace);
}

/** By opening an image that there is not: what QEMU says to that tells whether it came so far. */
async function requireQemuRbd(ceph: CephPool): Promise<void> {
  try {
    await qemuImg(['info', '--image-opts', rbdImageOptions({ ...ceph, image: noImage })], { timeoutMs: answerMs, limited: false });
  } catch (error) {
    if (!(error instanceof GodwitError)) throw error;
    // A configuration or a pool that is not found reads alike but for the image's name.
    if (error.code === 'NotFound' && error.message.includes(`error reading header from ${noImage}`)) return;
    if (/Unknown (driver|protocol)/.test(error.message))
      throw new GodwitError('PoolUnavailable', 'this QEMU has no rbd driver: install qemu-block-extra', {}, { cause: error });
    throw new GodwitError('PoolUnavailable', `QEMU cannot open the Ceph pool: ${error.message}`, {}, { cause: error });
  }
}
