import { randomUUID } from 'node:crypto';
import { as, type HostId, type ServerId } from '@godwit/domain/ids';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import fc from 'fast-check';
import { sql } from 'kysely';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { createWarmSnapshot, type WarmSnapshot } from '../../scheduling/warm-snapshot.ts';
import type { Db } from '../../store/database.ts';
import { startTestServer, type TestServer } from '../../store/test-database.ts';
import { claim, place } from './claim.ts';

const ratios = { cpuAllocationRatio: 2, ramAllocationRatio: 1, diskAllocationRatio: 1 };
const hostRamMib = 2_048;
let server: TestServer;
beforeAll(async () => {
  server = await startTestServer();
});
afterAll(() => server.stop());

async function cloud(hosts: number): Promise<Db> {
  const { db } = await server.database();
  for (let index = 0; index < hosts; index++) {
    await db
      .insertInto('host')
      .values({
        id: randomUUID(),
        name: `node${index}`,
        hypervisor_type: 'QEMU',
        address: '10.0.0.1',
        rpc_port: 1,
        reachable: true,
        facts: JSON.stringify(factsFixture({ ramMib: hostRamMib, cores: 4 })),
      })
      .execute();
  }
  return db;
}

async function newServer(db: Db, ramMib: number, groupId: string | null): Promise<ServerId> {
  const id = as<ServerId>(randomUUID());
  const flavor = { name: 'f', vcpus: 1, ram_mib: ramMib, disk_gib: 0, ephemeral_gib: 0, swap_mib: 0, extra_specs: {} };
  await db
    .insertInto('server')
    .values({
      id,
      name: `s-${id}`,
      hostname: 's',
      project_id: 'p',
      user_id: 'u',
      vm_state: 'active',
      flavor_id: 'f',
      flavor: JSON.stringify(flavor),
      reservation_id: 'r',
    })
    .execute();
  if (groupId !== null) await db.insertInto('server_group_member').values({ group_id: groupId, server_id: id }).execute();
  return id;
}

/** One decision and its claim, as the workflows make them; a move lets the migration hold the source first. A deadlock would reject. */
async function decideAndClaim(db: Db, id: ServerId, hosts: WarmSnapshot | undefined, seed: number): Promise<HostId | null> {
  return db.transaction().execute(async (tx) => {
    const { host_id: from } = await tx.selectFrom('server').select('host_id').where('id', '=', id).forUpdate().executeTakeFirstOrThrow();
    const kind = from === null ? 'create' : 'migration';
    const placed = await place(tx, id, {
      kind,
      requestedHost: null,
      copiesLocalDisks: true,
      excludedHosts: [],
      ratios,
      seed,
      ...(hosts === undefined ? {} : { hosts }),
    });
    if (placed.kind === 'no-valid-host') return null;
    if (from !== null) await tx.deleteFrom('allocation').where('consumer_id', '=', id).where('host_id', '=', from).execute();
    await claim(tx, id, placed.host.id, placed.demand);
    await tx.updateTable('server').set({ host_id: placed.host.id }).where('id', '=', id).execute();
    return placed.host.id;
  });
}

const usage = (db: Db) =>
  db
    .selectFrom('allocation')
    .select(['host_id', sql<number>`sum(ram_mib)::integer`.as('ram'), sql<number>`sum(vcpus)::integer`.as('vcpus')])
    .groupBy('host_id')
    .execute();

describe.each([
  ['warm snapshot', true],
  ['all hosts read each time', false],
])('parallel decisions, %s', (_name, warm) => {
  it('never overfill a host, whatever is created and moved at once, and fail only when no host has room', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(fc.constantFrom(256, 512, 1024), { minLength: 4, maxLength: 20 }), fc.nat(1000), async (sizes, seed) => {
        const db = await cloud(3);
        const hosts = warm ? createWarmSnapshot(ratios) : undefined;
        const ids = await Promise.all(sizes.map((size) => newServer(db, size, null)));
        const created = await Promise.all(ids.map((id, index) => decideAndClaim(db, id, hosts, seed + index)));
        const running = ids.filter((_, index) => created[index] !== null);
        // Creates only add, so what was refused at any moment has no room now.
        const full = await usage(db);
        for (const size of sizes.filter((_, index) => created[index] === null)) {
          expect(full.length).toBe(3);
          for (const host of full) expect(host.ram + size > hostRamMib || host.vcpus + 1 > 8).toBe(true);
        }
        await Promise.all(running.map((id, index) => decideAndClaim(db, id, hosts, seed * 7 + index)));
        const used = await usage(db);
        for (const host of used) {
          expect(host.ram).toBeLessThanOrEqual(hostRamMib);
          expect(host.vcpus).toBeLessThanOrEqual(8);
        }
        // The ledger is what was placed: one row per server, where the server is.
        const rows = await db
          .selectFrom('allocation')
          .innerJoin('server', 'server.id', 'allocation.server_id')
          .select(['allocation.host_id', 'server.host_id as at'])
          .execute();
        expect(rows.length).toBe(running.length);
        for (const row of rows) expect(row.host_id).toBe(row.at);
      }),
      { numRuns: 4 },
    );
  });

  it('never break affinity: members created at once end on one host', async () => {
    for (let round = 0; round < 3; round++) {
      const db = await cloud(6);
      const hosts = warm ? createWarmSnapshot(ratios) : undefined;
      const groupId = randomUUID();
      await db.insertInto('server_group').values({ id: groupId, name: 'web', policy: 'affinity', project_id: 'p', user_id: 'u' }).execute();
      const ids = await Promise.all(Array.from({ length: 4 }, () => newServer(db, 256, groupId)));
      // Seeds far apart: left to themselves they would choose different hosts.
      const created = await Promise.all(ids.map((id, index) => decideAndClaim(db, id, hosts, index * 7919)));
      expect(created).not.toContain(null);
      expect(new Set(created).size).toBe(1);
    }
  });

  it('never break anti-affinity, and place as many members as there are hosts', async () => {
    for (let round = 0; round < 2; round++) {
      const db = await cloud(4);
      const hosts = warm ? createWarmSnapshot(ratios) : undefined;
      const groupId = randomUUID();
      await db
        .insertInto('server_group')
        .values({ id: groupId, name: 'web', policy: 'anti-affinity', project_id: 'p', user_id: 'u' })
        .execute();
      const ids = await Promise.all(Array.from({ length: 6 }, () => newServer(db, 256, groupId)));
      const created = await Promise.all(ids.map((id, index) => decideAndClaim(db, id, hosts, index)));
      const placed = created.filter((host) => host !== null);
      expect([placed.length, new Set(placed).size]).toEqual([4, 4]);
      // A fifth host appears: every member wants it, one gets it.
      await db.updateTable('server').set({ deleted_at: new Date() }).where('host_id', 'is', null).execute();
      await db
        .insertInto('host')
        .values({
          id: randomUUID(),
          name: 'node9',
          hypervisor_type: 'QEMU',
          address: '10.0.0.1',
          rpc_port: 1,
          reachable: true,
          facts: JSON.stringify(factsFixture({ ramMib: hostRamMib })),
        })
        .execute();
      const members = ids.filter((_, index) => created[index] !== null);
      await Promise.all(members.map((id, index) => decideAndClaim(db, id, hosts, index)));
      const where = (await db.selectFrom('allocation').select('host_id').execute()).map((row) => row.host_id);
      expect(new Set(where).size).toBe(4);
    }
  });
});
