import type { CustodyRow } from '@godwit/domain/custody/custody-row';
import { fencingDecides } from '@godwit/domain/custody/fencing';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import type { WorkflowRun } from '../port.ts';
import type { WorkflowContext } from '../workflow-context.ts';
import { readCustody, stepCustody } from './custody-store.ts';

/**
 * Tells a server's custody of the hosts that an operator has fenced: it waits for none of them any more, and what was there counts as gone. Returns those that changed something by it,
 * with their names.
 */
export async function applyFences(
  context: Pick<WorkflowContext, 'db'>,
  run: Pick<WorkflowRun, 'fence'>,
  serverId: ServerId,
): Promise<readonly { readonly id: HostId; readonly name: string }[]> {
  const hosts = hostsInvolved(await readCustody(context.db, serverId));
  if (hosts.length === 0) return [];
  return context.db.transaction().execute(async (tx) => {
    const before = await readCustody(tx, serverId, true);
    const involved = hostsInvolved(before);
    if (involved.length === 0) return [];
    const fenced = await tx
      .selectFrom('host')
      .select(['id', 'name'])
      .where('id', 'in', [...involved])
      .where('fenced_at', 'is not', null)
      .execute();
    let row = before;
    const decided: { readonly id: HostId; readonly name: string }[] = [];
    for (const { id, name } of fenced) {
      const hostId = as<HostId>(id);
      if (!fencingDecides(row, hostId)) continue;
      row = (await stepCustody(tx, serverId, run.fence, [{ kind: 'fenced', hostId }])).row;
      decided.push({ id: hostId, name });
    }
    return decided;
  });
}

/** Hosts whose word custody wants, or may want: the holder's and those of the operation. */
function hostsInvolved({ holder, operation }: CustodyRow): readonly HostId[] {
  const hosts: (HostId | null)[] = holder.kind === 'host' ? [holder.hostId] : [];
  switch (operation?.kind) {
    case undefined:
      break;
    case 'recovery':
      hosts.push(...operation.waitingFor);
      break;
    case 'destroy':
      hosts.push(operation.hostId);
      break;
    case 'move':
    case 'start':
      hosts.push(operation.grant.source, operation.grant.destination);
      break;
  }
  return [...new Set(hosts.filter((id) => id !== null))];
}
