import { type DeviceLayout, newestDeviceLayout } from '@godwit/domain/guest-spec';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';

/** The layout of devices of a guest that starts for the first time: the newest that every host can build, so that the guest can move to each of them. Simulated hosts build nothing. */
export async function clusterDeviceLayout(db: Db): Promise<DeviceLayout> {
  const {
    rows: [row],
  } = await sql<{ layout: number | null }>`
    select min(coalesce((facts ->> 'deviceLayout')::integer, 1)) as layout from host
    where deleted_at is null and hypervisor_type = 'QEMU' and facts ->> 'accelerator' <> 'simulated'`.execute(db);
  return row?.layout == null || row.layout >= newestDeviceLayout ? newestDeviceLayout : 1;
}
