/**
 * Decision, claim and stored explanation over a database of 10,000 hosts and 100,000 servers, with the warm snapshot and without. Needs PostgreSQL's binaries (the embedded ones).
 * Run: node bench/scheduling-claim.ts [hosts] [servers]
 */
import { randomUUID } from 'node:crypto';
import { as, type ServerId } from '@godwit/domain/ids';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { sql } from 'kysely';
import { createWarmSnapshot, type WarmSnapshot } from '../packages/controller/src/scheduling/warm-snapshot.ts';
import { startTestServer } from '../packages/controller/src/store/test-database.ts';
import { claim, place } from '../packages/controller/src/workflows/scheduling/claim.ts';

const hostCount = Number(process.argv[2] ?? 10_000);
const serverCount = Number(process.argv[3] ?? 100_000);
const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
const features = Array.from({ length: 120 }, (_, index) => `feature-${index}`);
const flavor = JSON.stringify({ name: 'f', vcpus: 1, ram_mib: 1024, disk_gib: 1, ephemeral_gib: 0, swap_mib: 0, extra_specs: {} });

const server = await startTestServer();
try {
  const { db } = await server.database();
  const facts = JSON.stringify(factsFixture({ cpuFeatures: features, ramMib: 262_144, cores: 64 }));
  await sql`insert into host (id, name, hypervisor_type, address, rpc_port, reachable, facts)
    select gen_random_uuid(), 'node' || n, 'QEMU', '10.0.0.1', 8781, true, jsonb_set(${facts}::jsonb, '{load}', jsonb_build_array(n % 7, 1, 1)) from generate_series(1, ${hostCount}) n`.execute(
    db,
  );
  await sql`with placed as (select gen_random_uuid() as id, n from generate_series(1, ${serverCount}) n), numbered as (select id, row_number() over () - 1 as n from host)
    , made as (insert into server (id, name, hostname, project_id, user_id, vm_state, flavor_id, flavor, reservation_id, host_id)
      select placed.id, 's' || placed.n, 's', 'p', 'u', 'active', 'f', ${flavor}::jsonb, 'r', numbered.id from placed join numbered on numbered.n = placed.n % ${hostCount} returning id, host_id)
    insert into allocation (consumer_id, consumer_type, server_id, host_id, vcpus, ram_mib, disk_gib) select id, 'server', id, host_id, 1, 1024, 1 from made`.execute(
    db,
  );
  await sql`analyze`.execute(db);

  const once = async (hosts: WarmSnapshot | undefined, seed: number): Promise<{ decide: number; store: number }> => {
    const id = as<ServerId>(randomUUID());
    await db
      .insertInto('server')
      .values({
        id,
        name: 'new',
        hostname: 's',
        project_id: 'p',
        user_id: 'u',
        vm_state: 'building',
        flavor_id: 'f',
        flavor,
        reservation_id: 'r',
      })
      .execute();
    const start = performance.now();
    let placedAt = start;
    await db.transaction().execute(async (tx) => {
      const placed = await place(tx, id, {
        kind: 'create',
        requestedHost: null,
        copiesLocalDisks: true,
        excludedHosts: [],
        ratios,
        seed,
        ...(hosts === undefined ? {} : { hosts }),
      });
      if (placed.kind !== 'placed') throw new Error(placed.details);
      placedAt = performance.now();
      await claim(tx, id, placed.host.id, placed.demand);
      await tx
        .updateTable('server')
        .set({
          host_id: placed.host.id,
          fault: JSON.stringify({ code: 0, message: '', created: '', details: JSON.stringify(placed.verdicts) }),
        })
        .where('id', '=', id)
        .execute();
    });
    return { decide: placedAt - start, store: performance.now() - placedAt };
  };
  const quantile = (values: readonly number[], q: number) =>
    (values.toSorted((a, b) => a - b)[Math.floor(q * values.length)] ?? Number.NaN).toFixed(1);
  const report = (what: string, runs: readonly { decide: number; store: number }[]) =>
    console.log(
      `${what}: decision p50 ${quantile(
        runs.map((run) => run.decide),
        0.5,
      )} ms, p99 ${quantile(
        runs.map((run) => run.decide),
        0.99,
      )} ms; claim, verdicts and commit p50 ${quantile(
        runs.map((run) => run.store),
        0.5,
      )} ms; all p50 ${quantile(
        runs.map((run) => run.decide + run.store),
        0.5,
      )} ms`,
    );

  console.log(`${hostCount} hosts, ${serverCount} servers`);
  const warm = createWarmSnapshot(ratios);
  const loading = performance.now();
  await warm.current(db);
  console.log(`first load of the snapshot: ${(performance.now() - loading).toFixed(0)} ms`);
  for (let run = 0; run < 20; run++) await once(warm, run);
  const warmRuns = [];
  for (let run = 0; run < 300; run++) warmRuns.push(await once(warm, run));
  report('warm snapshot, one after the other', warmRuns);
  const parallel = await Promise.all(
    Array.from({ length: 8 }, async (_, worker) => {
      const runs = [];
      for (let run = 0; run < 40; run++) runs.push(await once(warm, worker * 1000 + run));
      return runs;
    }),
  );
  report('warm snapshot, 8 at once', parallel.flat());
  const cold = [];
  for (let run = 0; run < 5; run++) cold.push(await once(undefined, run));
  report('every host read for each decision', cold);
} finally {
  await server.stop();
}
