import { randomUUID } from 'node:crypto';
import { as, type ServerId } from '@godwit/domain/ids';
import { factsFixture } from '@godwit/domain/scheduling/fixtures';
import { startTestServer } from '../store/test-database.ts';
import { claim, place } from '../workflows/scheduling/claim.ts';
import { createWarmSnapshot, type WarmSnapshot } from './warm-snapshot.ts';

export type ClaimFigures = {
  readonly what: string;
  readonly decisionP50Ms: number;
  readonly decisionP99Ms: number;
  readonly storeP50Ms: number;
  readonly allP50Ms: number;
};

export type ClaimMeasurement = {
  readonly hosts: number;
  readonly servers: number;
  readonly firstLoadMs: number;
  readonly figures: readonly ClaimFigures[];
};

const ratios = { cpuAllocationRatio: 4, ramAllocationRatio: 1, diskAllocationRatio: 1 };
const features = Array.from({ length: 120 }, (_, index) => `feature-${index}`);
const flavor = JSON.stringify({ name: 'f', vcpus: 1, ram_mib: 1024, disk_gib: 1, ephemeral_gib: 0, swap_mib: 0, extra_specs: {} });

/**
 * Decision, claim and stored explanation in a database of its own with so many hosts and servers: on the warm snapshot one after the other and 8 at once, and with
 * every host read for each decision. Milliseconds by this process's clock; `decision` includes the locks and the second look, `store` the claim, the verdicts and the commit.
 */
export async function measureClaims(hostCount: number, serverCount: number, runs: number): Promise<ClaimMeasurement> {
  const server = await startTestServer();
  try {
    const { db, pool } = await server.database();
    const facts = JSON.stringify(factsFixture({ cpuFeatures: features, ramMib: 262_144, cores: 64 }));
    await pool.query(
      `insert into host (id, name, hypervisor_type, address, rpc_port, reachable, facts)
        select gen_random_uuid(), 'node' || n, 'QEMU', '10.0.0.1', 8781, true, jsonb_set($1::jsonb, '{load}', jsonb_build_array(n % 7, 1, 1)) from generate_series(1, $2::integer) n`,
      [facts, hostCount],
    );
    await pool.query(
      `with numbered as (select id, row_number() over () - 1 as n from host), made as (
          insert into server (id, name, hostname, project_id, user_id, vm_state, flavor_id, flavor, reservation_id, host_id)
          select gen_random_uuid(), 's' || s.n, 's', 'p', 'u', 'active', 'f', $1::jsonb, 'r', numbered.id from generate_series(1, $2::integer) s(n) join numbered on numbered.n = s.n % $3::integer
          returning id, host_id)
        insert into allocation (consumer_id, consumer_type, server_id, host_id, vcpus, ram_mib, disk_gib) select id, 'server', id, host_id, 1, 1024, 1 from made`,
      [flavor, serverCount, hostCount],
    );
    await pool.query('analyze');

    const once = async (hosts: WarmSnapshot | undefined, seed: number): Promise<Run> => {
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
          hosts,
        });
        if (placed.kind !== 'placed') throw new Error(placed.details);
        placedAt = performance.now();
        await claim(tx, id, placed.host.id, placed.demand);
        const verdicts = JSON.stringify({ code: 0, message: '', created: '', details: JSON.stringify(placed.verdicts) });
        await tx.updateTable('server').set({ host_id: placed.host.id, fault: verdicts }).where('id', '=', id).execute();
      });
      return { decisionMs: placedAt - start, storeMs: performance.now() - placedAt };
    };
    const many = async (hosts: WarmSnapshot | undefined, count: number, from: number): Promise<Run[]> => {
      const list: Run[] = [];
      for (let run = 0; run < count; run++) list.push(await once(hosts, from + run));
      return list;
    };

    const warm = createWarmSnapshot(ratios);
    const loading = performance.now();
    await warm.current(db);
    const firstLoadMs = performance.now() - loading;
    await many(warm, Math.ceil(runs / 10), 0);
    const alone = figures('warm snapshot, one after the other', await many(warm, runs, 0));
    const together = await Promise.all(Array.from({ length: 8 }, (_, worker) => many(warm, Math.ceil(runs / 8), worker * 10_000)));
    return {
      hosts: hostCount,
      servers: serverCount,
      firstLoadMs,
      figures: [
        alone,
        figures('warm snapshot, 8 at once', together.flat()),
        figures('every host read for each decision', await many(undefined, 5, 0)),
      ],
    };
  } finally {
    await server.stop();
  }
}

type Run = { readonly decisionMs: number; readonly storeMs: number };

function figures(what: string, runs: readonly Run[]): ClaimFigures {
  const quantile = (of: (run: Run) => number, q: number): number =>
    runs.map(of).toSorted((a, b) => a - b)[Math.floor(q * runs.length)] ?? Number.NaN;
  return {
    what,
    decisionP50Ms: quantile((run) => run.decisionMs, 0.5),
    decisionP99Ms: quantile((run) => run.decisionMs, 0.99),
    storeP50Ms: quantile((run) => run.storeMs, 0.5),
    allP50Ms: quantile((run) => run.decisionMs + run.storeMs, 0.5),
  };
}

// Run by bench/scheduling-claim.ts as a process of its own.
if (import.meta.main) {
  const [hosts = 10_000, servers = 100_000, runs = 300] = process.argv.slice(2).map(Number);
  process.stdout.write(`${JSON.stringify(await measureClaims(hosts, servers, runs))}\n`);
}
