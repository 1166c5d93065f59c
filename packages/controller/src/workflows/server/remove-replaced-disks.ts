import { create } from '@bufbuild/protobuf';
import { DiskSchema, type Guest, GuestSchema } from '@godwit/contract/gen/guest_pb';
import type { HostId, ServerId } from '@godwit/domain/ids';
import type { Selectable } from 'kysely';
import type { DiskTable } from '../../store/core-tables.ts';
import { readCustody } from '../custody/custody-store.ts';
import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { destroyAt } from './remove-disks.ts';
import { wireGuest } from './wire-guest.ts';

/** Disks that are the server's no more, as a run remembers them until their files are deleted. */
export type ReplacedDisks = readonly { readonly id: string; readonly pool: string; readonly format: string; readonly sizeBytes: number }[];

export const replacedDisks = (disks: readonly Selectable<DiskTable>[]): ReplacedDisks =>
  disks.map(({ id, pool, format, size_bytes }) => ({ id, pool, format, sizeBytes: size_bytes }));

/** Deletes the files of disks that the server's rows do not name any more. Only while nothing runs: the epoch under which it is done would end a guest that has been started since. */
export async function removeReplacedDisks(
  context: WorkflowContext,
  run: WorkflowRun,
  serverId: ServerId,
  hostId: HostId,
  replaced: ReplacedDisks,
): Promise<void> {
  const { holder, operation } = await readCustody(context.db, serverId);
  if (replaced.length === 0 || holder.kind !== 'nowhere' || operation !== null) return;
  const guest: Guest = create(GuestSchema, {
    ...(await wireGuest(context.db, serverId)),
    disks: replaced.map((disk) =>
      create(DiskSchema, { diskId: disk.id, pool: disk.pool, format: disk.format, sizeBytes: BigInt(disk.sizeBytes) }),
    ),
  });
  if (!(await destroyAt(context, run, serverId, hostId, guest)))
    context.log.warn({ server: serverId, host: hostId, disks: replaced.map(({ id }) => id) }, 'replaced disks were left on their host');
}
