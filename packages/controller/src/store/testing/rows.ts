import { randomUUID } from 'node:crypto';
import type { Db } from '../database.ts';

/** An image that a server can boot from, visible to everybody; returns its id. */
export async function insertImage(db: Db): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('image')
    .values({
      id,
      name: 'image',
      status: 'active',
      disk_format: 'raw',
      container_format: 'bare',
      size_bytes: 1024,
      virtual_size_bytes: 1024,
      visibility: 'public',
    })
    .execute();
  return id;
}

/** A public flavor with its disk in the shared pool; returns its id. */
export async function insertFlavor(db: Db): Promise<string> {
  const id = 'f1';
  const extra_specs = JSON.stringify({ 'godwit:storage': 'shared' });
  await db.insertInto('flavor').values({ id, name: 'small', vcpus: 1, ram_mib: 512, disk_gib: 1, extra_specs }).execute();
  return id;
}
