import { randomUUID } from 'node:crypto';
import { GodwitError } from '@godwit/domain/errors';
import type { Db } from '../../store/database.ts';
import type { Caller } from '../operations.ts';
import type { ServerRecord } from '../server/server-record.ts';

/** Said of images of servers, by which tools tell them from others: the compute API reference, "Create Image" and "Create Server Back Up". */
const ofTheOriginal = ['kernel_id', 'ramdisk_id', 'os_command_line', 'os_distro', 'os_type', 'os_version', 'hw_qemu_guest_agent'] as const;

/** Inserts the image that a server's root disk is to be copied into, without data yet; returns its id. Throws BadRequest for a server without a disk. */
export async function insertServerImage(
  tx: Db,
  caller: Caller,
  server: Pick<ServerRecord, 'id' | 'project_id' | 'image_id'>,
  image: { readonly name: string; readonly metadata: Readonly<Record<string, string>>; readonly backupType: string | null },
): Promise<string> {
  const disk = await tx
    .selectFrom('disk')
    .select('size_bytes')
    .where('server_id', '=', server.id)
    .where('device_index', '=', 0)
    .executeTakeFirst();
  if (disk === undefined) throw new GodwitError('BadRequest', `Instance ${server.id} has no disk that an image could be made of.`);
  const original =
    server.image_id === null
      ? undefined
      : await tx.selectFrom('image').select(['properties', 'min_ram_mib']).where('id', '=', server.image_id).executeTakeFirst();
  const inherited = Object.fromEntries(
    ofTheOriginal.flatMap((key) => {
      const value = original?.properties[key];
      return value === undefined ? [] : [[key, value]];
    }),
  );
  const id = randomUUID();
  await tx
    .insertInto('image')
    .values({
      id,
      name: image.name,
      owner: server.project_id,
      status: 'queued',
      visibility: 'private',
      disk_format: 'qcow2',
      container_format: 'bare',
      min_disk_gib: Math.ceil(disk.size_bytes / 2 ** 30),
      min_ram_mib: original?.min_ram_mib ?? 0,
      properties: JSON.stringify({
        ...inherited,
        ...image.metadata,
        image_type: image.backupType === null ? 'snapshot' : 'backup',
        ...(image.backupType === null ? {} : { backup_type: image.backupType }),
        instance_uuid: server.id,
        user_id: caller.userId,
        base_image_ref: server.image_id ?? '',
      }),
    })
    .execute();
  return id;
}
