import type { Image } from '@godwit/contract/schemas/image/images';
import type { Selectable } from 'kysely';
import type { ImageTable } from '../../store/core-tables.ts';
import { secondTime } from '../time-format.ts';

export type ImageRow = Selectable<ImageTable>;

/** The image as the API shows it: properties beside the attributes. */
export function imageView(row: ImageRow): Image {
  return {
    ...row.properties,
    id: row.id,
    name: row.name,
    status: row.status,
    visibility: row.visibility,
    protected: row.protected,
    os_hidden: row.hidden,
    owner: row.owner,
    checksum: row.md5,
    os_hash_algo: row.sha512 === null ? null : 'sha512',
    os_hash_value: row.sha512,
    size: row.size_bytes,
    virtual_size: row.virtual_size_bytes,
    container_format: row.container_format as Image['container_format'],
    disk_format: row.disk_format as Image['disk_format'],
    min_disk: row.min_disk_gib,
    min_ram: row.min_ram_mib,
    tags: row.tags.toSorted(),
    created_at: secondTime(row.created_at),
    updated_at: secondTime(row.updated_at),
    self: `/v2/images/${row.id}`,
    file: `/v2/images/${row.id}/file`,
    schema: '/v2/schemas/image',
  };
}
