import type { Db } from '../../store/database.ts';
import type { ServerRecord } from './server-record.ts';

/** Writes how many vCPUs a server has: its row, and its claim on its host. The caller has the server's row locked, or writes under its fence, and tells of it. */
export async function writeVcpus(tx: Db, server: Pick<ServerRecord, 'id' | 'flavor' | 'host_id'>, vcpus: number): Promise<void> {
  await tx
    .updateTable('server')
    .set({ flavor: JSON.stringify({ ...server.flavor, scaled_vcpus: vcpus }) })
    .where('id', '=', server.id)
    .execute();
  await tx.updateTable('allocation').set({ vcpus }).where('consumer_id', '=', server.id).where('host_id', '=', server.host_id).execute();
}
