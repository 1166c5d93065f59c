import { randomUUID } from 'node:crypto';
import type { GodwitError } from '@godwit/domain/errors';
import fc from 'fast-check';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import type { Db } from '../store/database.ts';
import { startTestServer, type TestServer } from '../store/test-database.ts';
import { allocatePorts, releasePorts } from './allocate-ports.ts';
import { createPort } from './create-port.ts';

let server: TestServer;
let db: Db;
beforeAll(async () => {
  server = await startTestServer();
  db = (await server.database()).db;
});
afterAll(() => server.stop());

const caller = { projectId: 'p1', isAdmin: false };
async function newNetwork(cidr: string, start: string, end: string, over: { projectId?: string; shared?: boolean } = {}): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('network')
    .values({ id, name: `net-${id.slice(0, 4)}`, project_id: over.projectId ?? 'p1', shared: over.shared ?? false, bridge: null })
    .execute();
  await db
    .insertInto('subnet')
    .values({ id: randomUUID(), network_id: id, cidr, gateway: null, pool_start: start, pool_end: end, project_id: 'p1' })
    .execute();
  return id;
}
async function newServer(): Promise<string> {
  const id = randomUUID();
  await db
    .insertInto('server')
    .values({
      id,
      name: 's',
      hostname: 's',
      description: null,
      project_id: 'p1',
      user_id: 'u',
      vm_state: 'building',
      task_state: null,
      flavor_id: 'f',
      flavor: '{}',
      reservation_id: 'r',
      host_id: null,
      requested_zone: null,
      image_id: null,
      machine_type: null,
      cpu_model: null,
      key_name: null,
      user_data: null,
      locked_reason: null,
      locked_by: null,
      access_ip_v4: null,
      access_ip_v6: null,
      launched_at: null,
      terminated_at: null,
      deleted_at: null,
    })
    .execute();
  return id;
}
const take = async (networkId: string, fixedIp?: string) => {
  const serverId = await newServer();
  const ports = await db
    .transaction()
    .execute((tx) => allocatePorts(tx, { caller, serverId, networks: [{ networkId, ...(fixedIp === undefined ? {} : { fixedIp }) }] }));
  return { serverId, address: ports[0]?.fixedIps[0]?.address ?? '', port: ports[0] };
};
const codeOf = (promise: Promise<unknown>) =>
  promise.then(
    () => 'ok',
    (error: GodwitError) => error.code,
  );

describe('allocatePorts', () => {
  it('gives every one of many parallel servers an address of its own, until none is left', async () => {
    await fc.assert(
      fc.asyncProperty(fc.integer({ min: 1, max: 30 }), fc.integer({ min: 1, max: 36 }), async (size, takers) => {
        const network = await newNetwork('10.9.0.0/16', '10.9.0.10', `10.9.0.${9 + size}`);
        const results = await Promise.allSettled(Array.from({ length: takers }, () => take(network)));
        const given = results.flatMap((result) => (result.status === 'fulfilled' ? [result.value.address] : []));
        expect(new Set(given).size).toBe(given.length);
        expect(given.length).toBe(Math.min(size, takers));
        for (const result of results) if (result.status === 'rejected') expect((result.reason as GodwitError).code).toBe('Conflict');
        const stored = await db
          .selectFrom('ip_allocation')
          .innerJoin('port', 'port.id', 'ip_allocation.port_id')
          .select('ip_allocation.address')
          .where('network_id', '=', network)
          .execute();
        expect(stored.map((row) => row.address).toSorted()).toEqual(given.toSorted());
        // Whoever got nothing left nothing behind.
        const ports = await db.selectFrom('port').select('id').where('network_id', '=', network).execute();
        expect(ports.length).toBe(given.length);
      }),
      { numRuns: 12 },
    );
  });

  it('gives the lowest free address, in the order of a list, of a pool of any size', async () => {
    const network = await newNetwork('fd00::/32', 'fd00::10', 'fd00::ffff:ffff');
    expect((await take(network)).address).toBe('fd00::10');
    const second = await take(network);
    await take(network);
    await db.transaction().execute((tx) => releasePorts(tx, second.serverId));
    expect((await take(network)).address).toBe('fd00::11');
    expect((await take(network)).address).toBe('fd00::13');
  });

  it('never gives the gateway away, wherever in the pool it lies', async () => {
    for (const gateway of ['10.3.0.5', '10.3.0.6', '10.3.0.7']) {
      const network = await newNetwork('10.3.0.0/24', '10.3.0.5', '10.3.0.7');
      await db.updateTable('subnet').set({ gateway }).where('network_id', '=', network).execute();
      const given = [(await take(network)).address, (await take(network)).address];
      expect(given).toEqual(['10.3.0.5', '10.3.0.6', '10.3.0.7'].filter((address) => address !== gateway));
      expect(await codeOf(take(network))).toBe('Conflict');
    }
  });

  it('reuses nothing that a transaction still holds, and frees what it rolled back', async () => {
    const network = await newNetwork('10.8.0.0/24', '10.8.0.5', '10.8.0.5');
    const serverId = await newServer();
    await db
      .transaction()
      .execute(async (tx) => {
        await allocatePorts(tx, { caller, serverId, networks: [{ networkId: network }] });
        expect(await codeOf(take(network))).toBe('Conflict');
        throw new Error('rolled back');
      })
      .catch((error: Error) => expect(error.message).toBe('rolled back'));
    expect((await take(network)).address).toBe('10.8.0.5');
  });

  it('takes a given address once, and refuses what does not fit', async () => {
    const network = await newNetwork('10.7.0.0/24', '10.7.0.5', '10.7.0.9');
    expect((await take(network, '10.7.0.77')).address).toBe('10.7.0.77');
    const refused = ['10.7.0.77', '10.99.0.1', '10.7.0.0', '10.7.0.255', 'x', '10.7.0.1/24', ''];
    expect(await Promise.all(refused.map((address) => codeOf(take(network, address))))).toEqual(refused.map(() => 'BadRequest'));
    expect(
      await Promise.all([codeOf(take(network, '10.7.0.50')), codeOf(take(network, '10.7.0.50'))]).then((codes) => codes.toSorted()),
    ).toEqual(['BadRequest', 'ok']);
  });

  it("auto: the only network, none without one, 409 for several; never another project's", async () => {
    const fresh = (await server.database()).db;
    const ask = async (projectId: string) => {
      const id = randomUUID();
      return fresh
        .transaction()
        .execute((tx) => allocatePorts(tx, { caller: { projectId, isAdmin: true }, serverId: id, networks: 'auto' }));
    };
    expect(await ask('p1')).toEqual([]);
    await fresh.insertInto('network').values({ id: randomUUID(), name: 'other', project_id: 'p2', bridge: null }).execute();
    expect(await ask('p1')).toEqual([]);
    for (const name of ['a', 'b'])
      await fresh.insertInto('network').values({ id: randomUUID(), name, project_id: null, shared: true, bridge: null }).execute();
    expect(await codeOf(ask('p1'))).toBe('Conflict');
    expect(await codeOf(take(await newNetwork('10.6.0.0/24', '10.6.0.5', '10.6.0.9', { projectId: 'p2' })))).toBe('BadRequest');
  });

  it('binds an existing port to one server alone and gives it back on release, addresses kept', async () => {
    const network = await newNetwork('10.5.0.0/24', '10.5.0.5', '10.5.0.9');
    const port = await db.transaction().execute((tx) => createPort(tx, { networkId: network, projectId: 'p1', name: 'kept' }));
    const servers = await Promise.all([newServer(), newServer()]);
    const codes = await Promise.all(
      servers.map((serverId) =>
        codeOf(db.transaction().execute((tx) => allocatePorts(tx, { caller, serverId, networks: [{ portId: port.id }] }))),
      ),
    );
    expect(codes.toSorted()).toEqual(['Conflict', 'ok']);
    for (const serverId of servers) await db.transaction().execute((tx) => releasePorts(tx, serverId));
    const kept = await db.selectFrom('port').selectAll().where('id', '=', port.id).executeTakeFirstOrThrow();
    expect([kept.server_id, kept.fixed_ips[0]?.address]).toEqual([null, '10.5.0.5']);
  });

  it('makes locally administered unicast MACs', async () => {
    const { port } = await take(await newNetwork('10.4.0.0/24', '10.4.0.5', '10.4.0.9'));
    const first = Number.parseInt(port?.mac.slice(0, 2) ?? '', 16);
    expect([first & 1, first & 2]).toEqual([0, 2]);
  });
});
