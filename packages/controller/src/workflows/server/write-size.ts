import type { Db } from '../../store/database.ts';
import type { ServerRecord } from './server-record.ts';

/** What a server was scaled to; absent: what it has stays. */
export type ServerSize = { readonly vcpus?: number; readonly ramMib?: number };

/** Writes how many vCPUs and how much memory a server has: its row, and its claim on its host. The caller has the server's row locked, or writes under its fence, and tells of it. */
export async function writeSize(
  tx: Db,
  server: Pick<ServerRecord, 'id' | 'flavor' | 'host_id'>,
  { vcpus, ramMib }: ServerSize,
): Promise<void> {
  if (vcpus === undefined && ramMib === undefined) return;
  const flavor = {
    ...server.flavor,
    ...(vcpus !== undefined && { scaled_vcpus: vcpus }),
    ...(ramMib !== undefined && { scaled_ram_mib: ramMib }),
  };
  await tx
    .updateTable('server')
    .set({ flavor: JSON.stringify(flavor) })
    .where('id', '=', server.id)
    .execute();
  await tx
    .updateTable('allocation')
    .set({ ...(vcpus !== undefined && { vcpus }), ...(ramMib !== undefined && { ram_mib: ramMib }) })
    .where('consumer_id', '=', server.id)
    .where('host_id', '=', server.host_id)
    .execute();
}
