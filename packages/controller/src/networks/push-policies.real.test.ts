import { randomUUID } from 'node:crypto';
import type { NetworkPolicy } from '@godwit/domain/network-policy';
import { sql } from 'kysely';
import pino from 'pino';
import { afterAll, beforeAll, expect, it } from 'vitest';
import type { Db } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { fakeFacts } from '../workflows/testing/fake-agents.ts';
import { createPort } from './create-port.ts';
import { networkPolicy } from './network-policy.ts';
import { noteNetwork } from './note-change.ts';
import { startPushingPolicies } from './push-policies.ts';
import { createRule } from './security-group-rules.ts';
import { defaultGroup } from './security-groups.ts';
import { updatePort } from './update-port.ts';

let server: TestServer;
let db: Db;
beforeAll(async () => {
  server = await startTestServer();
  db = (await server.database()).db;
});
afterAll(() => server.stop());

async function newHost(facts: object): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('host')
    .values({
      id,
      name: `h-${id.slice(0, 8)}`,
      hypervisor_type: 'QEMU',
      address: '127.0.0.1',
      rpc_port: 1,
      boot_id: 'b',
      facts: JSON.stringify({ ...fakeFacts('h'), ...facts }),
    })
    .execute();
  return id;
}

async function newGuest(
  hostId: string,
  networkId: string,
  projectId: string,
): Promise<{ readonly serverId: string; readonly portId: string; readonly address: string }> {
  const serverId = randomUUID();
  await db
    .insertInto('server')
    .values({
      id: serverId,
      name: 's',
      hostname: 's',
      project_id: projectId,
      user_id: 'u',
      vm_state: 'active',
      task_state: null,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
      host_id: hostId,
    })
    .execute();
  const port = await db.transaction().execute((tx) => createPort(tx, { networkId, projectId, serverId, deviceIndex: 0 }));
  return { serverId, portId: port.id, address: port.fixedIps[0]?.address ?? '' };
}

it('hosts hear of what changes for their guests, and of nothing else; one that does not answer is asked again', async () => {
  const [here, there, old] = [await newHost({ networkPolicy: true }), await newHost({ networkPolicy: true }), await newHost({})];
  const networkId = randomUUID();
  await db.insertInto('network').values({ id: networkId, name: 'n', project_id: 'p', bridge: null }).execute();
  await db
    .insertInto('subnet')
    .values({
      id: randomUUID(),
      network_id: networkId,
      cidr: '10.1.0.0/24',
      gateway: null,
      pool_start: '10.1.0.2',
      pool_end: '10.1.0.99',
      project_id: 'p',
    })
    .execute();
  const mine = await newGuest(here, networkId, 'p');
  const other = await newGuest(there, networkId, 'q');
  const heard: { readonly host: string; readonly policy: NetworkPolicy }[] = [];
  let failing = false;
  const pusher = startPushingPolicies({
    db,
    log: pino({ level: 'silent' }),
    executorId: 'e',
    everyMs: 10,
    send: async (host, policy) => {
      if (failing) throw new Error('no answer');
      heard.push({ host, policy });
    },
  });
  const next = async (): Promise<{ readonly host: string; readonly policy: NetworkPolicy }> => {
    await expect.poll(() => heard.length, { timeout: 10_000 }).toBeGreaterThan(0);
    return heard.shift() as { readonly host: string; readonly policy: NetworkPolicy };
  };
  try {
    const first = [await next(), await next()].toSorted((a, b) => (a.host === here ? -1 : 1) - (b.host === here ? -1 : 1));
    expect(first.map(({ host }) => host)).toEqual([here, there]);
    const group = await defaultGroup(db, 'p');
    expect(first[0]?.policy.groups).toEqual({ [group]: [mine.address] });
    expect(first[0]?.policy.ports).toEqual([expect.objectContaining({ portId: mine.portId })]);
    // A rule of project p is none of the other host's business.
    failing = true;
    await db.transaction().execute((tx) =>
      createRule(tx, {
        groupId: group,
        direction: 'ingress',
        ipVersion: 6,
        protocol: 'icmp',
        portMin: 128,
        portMax: null,
        remotePrefix: 'fd00::/8',
        remoteGroupId: null,
        description: '',
      }),
    );
    await expect.poll(async () => (await db.selectFrom('network_policy_change').selectAll().execute()).length, { timeout: 10_000 }).toBe(0);
    failing = false;
    const ruled = await next();
    expect(ruled.host).toBe(here);
    expect(ruled.policy.number).toBeGreaterThan(first[0]?.policy.number ?? 0);
    expect(ruled.policy.ports[0]?.rules).toContainEqual({
      direction: 'ingress',
      ipVersion: 6,
      protocol: 58,
      first: 128,
      last: null,
      remote: { kind: 'prefix', prefix: 'fd00::/8' },
    });
    // A new member, on a third host: both hosts of the project hear of its address; so does the host that a member is moved to.
    const third = await newGuest(there, networkId, 'p');
    const both = [await next(), await next()];
    expect(new Set(both.map(({ host }) => host))).toEqual(new Set([here, there]));
    for (const { policy } of both) expect(policy.groups[group]).toEqual([mine.address, third.address].toSorted());
    expect((await networkPolicy(db, { serverId: other.serverId })).ports.map(({ portId }) => portId)).toEqual([other.portId]);
    expect(heard).toEqual([]);
    // A port that is down, and then a whole network.
    await db.transaction().execute((tx) => updatePort(tx, mine.portId, { adminStateUp: false }));
    const downOf = ({ policy }: Awaited<ReturnType<typeof next>>) => policy.ports.flatMap(({ portId, down }) => (down ? [portId] : []));
    expect(downOf(await next())).toEqual([mine.portId]);
    await db.transaction().execute(async (tx) => {
      await noteNetwork(tx, networkId);
      await tx.updateTable('network').set({ admin_state_up: false }).where('id', '=', networkId).execute();
    });
    // The host of the port that is down already has nothing to hear.
    expect(downOf(await next()).toSorted()).toEqual([other.portId, third.portId].toSorted());
    expect(heard).toEqual([]);
    expect((await sql<{ n: number }>`select count(*)::integer as n from host where id = ${old}`.execute(db)).rows[0]?.n).toBe(1);
  } finally {
    await pusher.stop();
  }
});
