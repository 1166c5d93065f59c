import type { WayOut } from '@godwit/domain/custody/custody-row';
import { fencingWarning } from '@godwit/domain/custody/fencing';
import { waysOut } from '@godwit/domain/custody/ways-out';
import { as, type ServerId } from '@godwit/domain/ids';
import type { Db } from '../../store/database.ts';
import { readCustody } from '../../workflows/custody/custody-store.ts';
import type { MigrationRow } from './migration-view.ts';

/** What an operator can do about a move that waits for a host which does not answer: wait for it, or fence it. Never anything else; empty when nothing is waited for. */
export async function readWaysOut(db: Db, move: Pick<MigrationRow, 'server_id' | 'phase' | 'finished_at' | 'destination_host_id'>) {
  if (move.finished_at !== null) return [];
  const ways = waysOut(await readCustody(db, as<ServerId>(move.server_id)), move.phase === 'committing');
  if (ways.length === 0) return [];
  const silent = await db
    .selectFrom('host')
    .select(['id', 'name'])
    .where('id', 'in', [...new Set(ways.map(({ hostId }) => hostId))])
    .where('reachable', '=', false)
    .execute();
  if (silent.length === 0) return [];
  const disks = await db
    .selectFrom('disk')
    .select(['device_index', 'pool', 'storage'])
    .where('server_id', '=', move.server_id)
    .orderBy('device_index')
    .execute();
  const names = new Map(silent.map(({ id, name }) => [id, name]));
  return ways.flatMap((way) => {
    const host = names.get(way.hostId);
    // The copy at the source is as old as the stop there: once the guest has run at the destination, it is started from the one there alone.
    const hasLocal = way.hostId === move.destination_host_id && disks.some(({ storage }) => storage === 'local');
    const copy = !hasLocal ? null : move.phase === 'switchover' ? 'source' : move.phase === 'committing' ? 'destination' : null;
    return host === undefined ? [] : [wayOut(way, host, disks, copy)];
  });
}

type Disk = { readonly device_index: number; readonly pool: string; readonly storage: string };

function wayOut(way: WayOut, host: string, disks: readonly Disk[], copy: 'source' | 'destination' | null) {
  if (way.kind === 'wait')
    return { kind: way.kind, host, sentence: `Wait for host ${host}: when it answers, what it says decides, and nothing is lost.` };
  const named = disks.map((disk) => `disk ${disk.device_index} (${disk.storage} pool ${disk.pool})`).join(', ');
  const restart = way.outcome === 'restart-from-disk';
  return {
    kind: 'fence' as const,
    host,
    outcome: way.outcome,
    sentence: restart
      ? `Host ${host} is fenced: the guest is started again from ${named === '' ? 'its image: it has no disk' : named}. Lost is what it had not written to its disks and flushed${
          copy === 'source'
            ? ', and of its local disks, which are those at the source, whatever it may have written since it stopped there'
            : ''
        }.${copy === 'destination' ? ` Its local disks are at ${host}: it can be started when that is back.` : ''}`
      : `Host ${host} is fenced: nothing waits for it any more, and the other host decides what becomes of the guest.`,
    disks: restart ? disks.map((disk) => ({ deviceIndex: disk.device_index, pool: disk.pool, storage: disk.storage })) : [],
    warning: fencingWarning(host),
    request: { method: 'POST', path: `/hosts/${host}/fence`, body: { confirmed: true } },
  };
}
