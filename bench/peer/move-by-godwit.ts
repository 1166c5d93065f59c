import type { OpenStackClient } from '@godwit/lab/cloud/openstack-client';
import { endedRecord, timeOf } from '../migration-record.ts';
import type { PeerTimes } from './peer-move.ts';

/** One live migration through the public API, to the host that the scheduler takes. Throws when it does not complete. */
export async function moveByGodwit(cloud: OpenStackClient, serverId: string): Promise<PeerTimes> {
  const startedAt = performance.timeOrigin + performance.now();
  await cloud.request('compute', 'POST', `/servers/${serverId}/action`, {
    body: { 'os-migrateLive': { host: null, block_migration: 'auto' } },
  });
  const { migrations } = await cloud.request<{ readonly migrations: readonly { readonly uuid: string; readonly created_at: string }[] }>(
    'compute',
    'GET',
    `/os-migrations?instance_uuid=${serverId}&migration_type=live-migration`,
  );
  const newest = migrations.toSorted((a, b) => b.created_at.localeCompare(a.created_at))[0];
  if (newest === undefined) throw new Error('the cloud accepted a migration and has no record of it');
  const record = await endedRecord(cloud, newest.uuid);
  const at = (clock: 'source' | 'destination', what: string): number => {
    const time = timeOf(record, clock, what);
    if (time === null)
      throw new Error(`migration ${newest.uuid} ended ${record.status} without ${what} at its ${clock}: ${record.outcome?.sentence ?? ''}`);
    return time;
  };
  if (record.status !== 'completed' || record.finishedAt === null)
    throw new Error(`migration ${newest.uuid} ended ${record.status}: ${record.outcome?.sentence ?? ''}`);
  return {
    startToRunningMs: at('destination', 'RESUME') - startedAt,
    wallMs: Date.parse(record.finishedAt) - startedAt,
    qemuTotalMs: record.measures['qemuTotalMs'] ?? Number.NaN,
    stopToResumeMs: at('destination', 'RESUME') - at('source', 'STOP'),
  };
}
