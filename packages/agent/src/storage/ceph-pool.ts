import { GodwitError } from '@godwit/domain/errors';
import { isCephName, type RbdImage } from '@godwit/domain/guest-spec';

/** A pool of a Ceph cluster as this host comes to it; every field is in its final form. */
export type CephPool = Omit<RbdImage, 'image'>;

/** As the configuration writes it. */
export type CephSettings = { readonly pool: string; readonly namespace?: string; readonly conf?: string; readonly user?: string };

export const cephPool = ({ conf = '/etc/ceph/ceph.conf', ...rest }: CephSettings): CephPool => ({ ...rest, conf });

/** librbd: RBD_MAX_IMAGE_NAME_SIZE. */
const longestImageName = 96;
/** `.xxxxxxxx.part` */
const unfinishedBytes = 14;

const prefixOf = (serverId: string): string => `godwit-${serverId}-`;

/**
 * The image of a server's disk. The server's id is in it, so that what is left of a server is found when nobody knows its disks any more. Throws GodwitError BadRequest for ids that are no plain names, or too long.
 */
export function rbdImageName(serverId: string, diskId: string): string {
  const name = `${prefixOf(serverId)}${diskId}`;
  if (!isCephName(name) || name.length + unfinishedBytes > longestImageName)
    throw new GodwitError('BadRequest', `${JSON.stringify(name)} cannot be the name of an RBD image`);
  return name;
}

/** An image that is being filled; it becomes the disk by its renaming. */
export const unfinishedName = (image: string, random: string): string => `${image}.${random}.part`;
export const isUnfinished = (name: string, image: string): boolean => name.startsWith(`${image}.`) && name.endsWith('.part');

export const isImageOf = (name: string, serverId: string): boolean => name.startsWith(prefixOf(serverId));

/** The server whose image it is; undefined: none of ours. */
export const serverOfImage = (name: string): string | undefined => /^godwit-([0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12})-/.exec(name)?.[1];

/** How every tool of Ceph's comes to the cluster. */
export const clusterArguments = ({ conf, user }: Pick<CephPool, 'conf' | 'user'>): readonly string[] => [
  '--conf',
  conf,
  ...(user === undefined ? [] : ['--id', user]),
];

/** How `rbd` comes to the pool. */
export const poolArguments = (ceph: CephPool): readonly string[] => [
  ...clusterArguments(ceph),
  '--pool',
  ceph.pool,
  ...(ceph.namespace === undefined ? [] : ['--namespace', ceph.namespace]),
];

/**
 * An image as QEMU's own driver opens it. Without QEMU's cache librbd keeps none either (rbd_cache=false), so that the destination of a move reads what the source wrote.
 */
export const rbdNode = (rbd: RbdImage): Readonly<Record<string, unknown>> => ({
  driver: 'rbd',
  pool: rbd.pool,
  ...(rbd.namespace !== undefined && { namespace: rbd.namespace }),
  image: rbd.image,
  conf: rbd.conf,
  ...(rbd.user !== undefined && { user: rbd.user }),
});

/** The same for qemu-img's `--image-opts`, below a raw format layer. */
export const rbdImageOptions = (rbd: RbdImage): string =>
  `driver=raw,${Object.entries(rbdNode(rbd))
    .map(([key, value]) => `file.${key}=${String(value).replaceAll(',', ',,')}`)
    .join(',')}`;

export type CephSpace = { readonly cephPoolId: number; readonly totalBytes: number; readonly freeBytes: number };

/**
 * A pool's room out of `ceph df --format json`: `max_avail` is what can still be stored with the pool's redundancy counted, before the first OSD is full; `stored` likewise counts each byte once. null: the cluster has no such pool, or does
 * not show it to this user.
 */
export function spaceOf(df: unknown, pool: string): CephSpace | null {
  const { pools } = df as { readonly pools?: readonly { name: string; id: number; stats: { stored: number; max_avail: number } }[] };
  const one = pools?.find(({ name }) => name === pool);
  if (one === undefined) return null;
  const { stored, max_avail: freeBytes } = one.stats;
  return { cephPoolId: one.id, totalBytes: stored + freeBytes, freeBytes };
}

/** Equal on every host that comes to the same images, whatever each calls the pool or its configuration. */
export const cephPoolIdentity = (fsid: string, cephPoolId: number, namespace: string | undefined): string =>
  ['ceph', fsid, cephPoolId, ...(namespace === undefined ? [] : [namespace])].join('-');
