import { randomBytes } from 'node:crypto';
import { mkdir, rename, rm, stat } from 'node:fs/promises';
import { dirname } from 'node:path';
import { REFUSALS, type RefusalCode } from '@godwit/domain/custody/refusal';
import { GodwitError } from '@godwit/domain/errors';
import { asEpoch, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { CustodyRefused } from '../../custody/custody-refused.ts';
import { openPeerLink } from '../../migration/peer-link.ts';
import { refuseEscape } from '../../storage/confined-path.ts';
import { diskFacts, diskPath } from '../../storage/disk-store.ts';
import { type DiskChunk, readDiskFile, writeDiskFile } from '../../storage/disk-stream.ts';
import { imagePath } from '../../storage/image-cache.ts';
import { makeDurable } from '../../storage/make-durable.ts';
import { qemuImg } from '../../storage/qemu-img.ts';
import type { Authority, PeerAddress } from '../host-driver.ts';
import type { WantedDisk, WantedGuest } from '../wanted-guest.ts';
import { poolNamed } from './guest-spec-of.ts';
import type { QemuHost } from './qemu-host.ts';

type Offer = { readonly authority: Authority; readonly destination: HostId; readonly paths: ReadonlyMap<string, string> };

/**
 * Disks of a stopped guest on their way from one host's pool to another's: what a cold move of local disks needs. The file itself is copied, the overlay without its image, over the connection
 * between the agents. Neither side touches anything while a copy of the server lives there, or when custody has gone on since the order was given.
 */
export class DiskCopies {
  readonly #host: QemuHost;
  readonly #cleared: (serverId: ServerId) => Promise<void>;
  readonly #offers = new Map<MigrationId, Offer>();

  /** `cleared` resolves once nothing of an earlier copy of the server is being cleared away on this host. */
  constructor(host: QemuHost, cleared: (serverId: ServerId) => Promise<void>) {
    this.#host = host;
    this.#cleared = cleared;
  }

  /** Source: `destination` may read the guest's disks for this move. Returns how large their files are. Throws CustodyRefused, NotFound when a disk is missing. */
  async offer(authority: Authority, migrationId: MigrationId, destination: HostId, wanted: WantedGuest): Promise<number> {
    this.#demandStopped(authority);
    const paths = new Map<string, string>();
    let bytes = 0;
    for (const disk of wanted.disks) {
      const path = await this.#path(wanted.serverId, disk);
      if (!(await diskFacts(path, disk.format)))
        throw new GodwitError('NotFound', `disk ${disk.diskId} is not in pool ${disk.pool} of this host`);
      bytes += (await stat(path)).size;
      paths.set(disk.diskId, path);
    }
    this.#offers.set(migrationId, { authority, destination, paths });
    return bytes;
  }

  /** Source: the disk's file, for the host that it was offered to. */
  async *read(from: HostId, migrationId: MigrationId, diskId: string): AsyncIterable<DiskChunk> {
    const offer = this.#offers.get(migrationId);
    const path = offer?.paths.get(diskId);
    if (offer === undefined || path === undefined)
      throw new GodwitError('NotFound', `disk ${diskId} is not offered for migration ${migrationId}`);
    if (offer.destination !== from) throw new GodwitError('Forbidden', `disk ${diskId} is not offered to host ${from}`);
    this.#demandStopped(offer.authority);
    for await (const chunk of readDiskFile(path)) {
      // The last one makes the copy valid: only if nobody can have written meanwhile.
      if (chunk.data.length === 0) this.#demandStopped(offer.authority);
      yield chunk;
    }
  }

  /**
   * Destination: copies the guest's disks here, each put in place at once when it is whole; what lay there before is replaced. Repeating it copies again. Throws with nothing half-made
   * left: CustodyRefused, NoSpace, and what the source says. `copied` is told the bytes of all disks so far.
   */
  async fetch(
    authority: Authority,
    migrationId: MigrationId,
    source: PeerAddress,
    wanted: WantedGuest,
    copied: (bytes: number) => void,
  ): Promise<void> {
    this.#demandStopped(authority);
    const { serverId, fence } = authority;
    // Raises the fence and changes nothing else: no order of before is obeyed from now on, and what one has begun would delete by name what is copied here.
    await this.#host.custody.feed(serverId, { kind: 'census', fence, floor: asEpoch(0) });
    await this.#cleared(serverId);
    const link = openPeerLink(source, this.#host.identity.current);
    try {
      let before = 0;
      for (const disk of wanted.disks) {
        let bytes = 0;
        await this.#fetchDisk(authority, wanted.serverId, disk, link.readDisk(migrationId, disk.diskId), (now) => {
          bytes = now;
          copied(before + now);
        });
        before += bytes;
      }
    } finally {
      link.close();
    }
  }

  async #fetchDisk(
    authority: Authority,
    serverId: ServerId,
    disk: WantedDisk,
    chunks: AsyncIterable<DiskChunk>,
    copied: (bytes: number) => void,
  ): Promise<void> {
    const path = await this.#path(serverId, disk);
    await mkdir(dirname(path), { recursive: true, mode: 0o700 });
    const part = `${path}.${randomBytes(6).toString('hex')}.part`;
    try {
      await writeDiskFile(part, chunks, copied);
      if (disk.image && disk.format === 'qcow2') {
        // The header names the image where the other host keeps it.
        const pool = poolNamed(this.#host.pools, disk.pool);
        await qemuImg(['rebase', '-q', '-u', '-f', 'qcow2', '-F', disk.image.format, '-b', imagePath(pool, disk.image), part], {
          timeoutMs: 30_000,
          limited: true,
        });
      }
      this.#demandStopped(authority);
      await rename(part, path);
      await makeDurable(dirname(path));
    } catch (error) {
      await rm(part, { force: true });
      if ((error as NodeJS.ErrnoException).code === 'ENOSPC')
        throw new GodwitError('NoSpace', `pool ${disk.pool} has no room for disk ${disk.diskId}`, {}, { cause: error });
      throw error;
    }
  }

  async #path(serverId: ServerId, disk: WantedDisk): Promise<string> {
    const pool = poolNamed(this.#host.pools, disk.pool);
    if (pool.kind !== 'local') throw new GodwitError('InvalidSharedStorage', `pool ${pool.name} is shared: its disks are never copied`);
    const path = diskPath(pool, serverId, disk.diskId, disk.format);
    await refuseEscape(pool.path, path);
    return path;
  }

  /** No copy of the server lives here, and the order is not older than what this host knows. */
  #demandStopped({ serverId, epoch, fence }: Authority): void {
    const state = this.#host.custody.state(serverId);
    const { copy } = state;
    const refuse = (code: RefusalCode): never => {
      throw new CustodyRefused({ code, message: REFUSALS[code], epoch, knownEpoch: state.knownEpoch, knownFence: state.fence });
    };
    if (fence < state.fence) refuse('custody-fence-low');
    if (epoch < state.knownEpoch) refuse('custody-epoch-stale');
    if (copy.kind === 'granted' || copy.kind === 'suspended' || (copy.kind !== 'none' && copy.alive)) refuse('custody-not-stopped');
  }
}
