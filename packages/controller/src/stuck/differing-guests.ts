import { GuestState } from '@godwit/contract/gen/guest_pb';
import { as, type HostId } from '@godwit/domain/ids';
import { agentFailure } from '../agents/agent-error.ts';
import type { Agents } from '../agents/agents.ts';
import type { Db } from '../store/database.ts';
import { nothingToCall, type Problem } from './problem.ts';

const ASK_MS = 2_000;
const AT_ONCE = 16;
const living: readonly GuestState[] = [GuestState.RUNNING, GuestState.PAUSED, GuestState.IO_ERROR];

/**
 * Guests that run where their record does not say, and servers whose record says that they run where no guest does. Asks every host that is heard from, now; servers with a task are left
 * out: what is being done to them is between the two.
 */
export async function differingGuests(db: Db, agents: Agents): Promise<readonly Problem[]> {
  const hosts = await db
    .selectFrom('host')
    .select(['id', 'name'])
    .where('deleted_at', 'is', null)
    .where('reachable', '=', true)
    .where('hypervisor_type', '<>', 'ironic')
    .execute();
  const asked = await inBatches(hosts, AT_ONCE, async (host) => {
    try {
      const client = await agents.client(as<HostId>(host.id));
      const { guests } = await client.listGuests({}, { timeoutMs: ASK_MS });
      return { host, guests };
    } catch (error) {
      agentFailure(error);
      return null; // silent hosts are named by themselves
    }
  });
  // Read after the hosts were asked: a move that ended in between is then in the records.
  const servers = await db
    .selectFrom('server')
    .select(['id', 'name', 'host_id', 'vm_state', 'task_state', 'deleted_at', 'updated_at'])
    .where((eb) => eb.or([eb('deleted_at', 'is', null), eb('deleted_at', '>', new Date(Date.now() - 86_400_000))]))
    .execute();
  const byId = new Map(servers.map((server) => [server.id, server]));
  const names = new Map(hosts.map(({ id, name }) => [id, name]));
  const problems: Problem[] = [];
  const running = new Map<string, Set<string>>();
  for (const answer of asked) {
    if (answer === null) continue;
    const here = new Set<string>();
    running.set(answer.host.id, here);
    for (const guest of answer.guests) {
      if (!living.includes(guest.state)) continue;
      here.add(guest.serverId);
      const server = byId.get(guest.serverId);
      if (server !== undefined && (server.task_state !== null || server.host_id === answer.host.id)) continue;
      const name = server?.name ?? guest.serverId;
      problems.push({
        kind: 'guest-differs',
        subject: { type: 'server', id: guest.serverId, name },
        sentence: `A guest of ${name} runs on ${answer.host.name}, and ${where(server, names)}.`,
        evidence: [`${answer.host.name}: ${GuestState[guest.state]} under epoch ${guest.copyEpoch}`],
        since: null,
        action: nothingToCall(
          'Leave it alone: what its host holds and what its record says is compared by itself, and a copy that may not run is ended.',
        ),
      });
    }
  }
  for (const server of servers) {
    if (server.deleted_at !== null || server.task_state !== null || server.host_id === null) continue;
    if (server.vm_state !== 'active' && server.vm_state !== 'paused') continue;
    const here = running.get(server.host_id);
    if (here === undefined || here.has(server.id)) continue;
    problems.push({
      kind: 'guest-differs',
      subject: { type: 'server', id: server.id, name: server.name },
      sentence: `${server.name} is ${server.vm_state} by its record, and no guest of it runs on ${names.get(server.host_id) ?? 'its host'}.`,
      evidence: [`${names.get(server.host_id) ?? server.host_id}: no such guest`],
      since: server.updated_at.toISOString(),
      action: {
        sentence: 'A hard reboot starts it again under a new grant, from its disk.',
        request: { service: 'compute', method: 'POST', path: `/servers/${server.id}/action`, body: { reboot: { type: 'HARD' } } },
      },
    });
  }
  return problems;
}

function where(
  server: { readonly host_id: string | null; readonly deleted_at: Date | null } | undefined,
  names: ReadonlyMap<string, string>,
): string {
  if (server === undefined) return 'no record knows it';
  if (server.deleted_at !== null) return 'its server is deleted';
  return server.host_id === null ? 'its record names no host' : `its record says ${names.get(server.host_id) ?? 'another host'}`;
}

async function inBatches<Item, Result>(
  items: readonly Item[],
  size: number,
  work: (item: Item) => Promise<Result>,
): Promise<readonly Result[]> {
  const results: Result[] = [];
  for (let from = 0; from < items.length; from += size) results.push(...(await Promise.all(items.slice(from, from + size).map(work))));
  return results;
}
