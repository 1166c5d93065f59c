import { certificateSubject, hostCertificateUri } from '@godwit/contract/certificate-names';
import type { HostId } from '@godwit/domain/ids';
import { diskNode } from '../qemu/command-line.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';

/** A disk of the guest that the source writes: its place among the guest's disks, and its id, which is the export's name. */
export type ExportedDisk = { readonly index: number; readonly diskId: string };

export type ExportOptions = {
  readonly address: string;
  readonly port: number;
  /** The one host that may connect. */
  readonly source: HostId;
  /** QMP id of this side's credentials; null: without TLS, by explicit setting. */
  readonly credentials: string | null;
};

const authzId = 'disk-source';

/**
 * Destination: lets the source's QEMU write the disks of the guest that waits here. QEMU serves NBD with mutual TLS and compares the whole subject of the peer's
 * certificate, which names the host: another host of the same cloud is refused. When it throws, whatever was opened ends with the QEMU that is discarded.
 */
export async function openExports(qmp: QmpClient, disks: readonly ExportedDisk[], options: ExportOptions): Promise<void> {
  const { address, port, source, credentials } = options;
  if (credentials !== null)
    await qmp.execute('object-add', { 'qom-type': 'authz-simple', id: authzId, identity: certificateSubject(hostCertificateUri(source)) });
  await qmp.execute('nbd-server-start', {
    addr: { type: 'inet', data: { host: address, port: String(port) } },
    ...(credentials !== null && { 'tls-creds': credentials, 'tls-authz': authzId }),
  });
  for (const { index, diskId } of disks)
    await qmp.execute('block-export-add', { type: 'nbd', id: `copy-${index}`, 'node-name': diskNode(index), name: diskId, writable: true });
}

/**
 * Nobody outside can write to the disks any more when it returns: the server is gone, with every connection. Called before the guest is taken: QEMU itself would let it run beside a
 * writer (conformance: cont-beside-export-accepted), and only the source's word, its mirrors ended before it released, would stand between them. Can be repeated.
 */
export async function closeExports(qmp: QmpClient): Promise<void> {
  // "NBD server not running": closed already.
  await qmp.execute('nbd-server-stop').catch((error: unknown) => {
    if (!/not running/i.test((error as Error).message)) throw error;
  });
  await qmp.execute('object-del', { id: authzId }).catch(() => undefined);
}
