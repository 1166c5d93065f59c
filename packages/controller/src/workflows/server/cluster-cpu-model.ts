import { commonCpuModel } from '@godwit/domain/cpu-model/preference';
import { sql } from 'kysely';
import type { Db } from '../../store/database.ts';

const KEPT_MS = 5_000;
const kept = new WeakMap<Db, { readonly at: number; readonly model: Promise<string | null> }>();

/**
 * The CPU model of guests that start for the first time: the richest that every host runs, those that are down or disabled included, so that the guest can move to each of them. Null: there
 * is none, and the host's own default is taken. Up to five seconds old.
 */
export function clusterCpuModel(db: Db): Promise<string | null> {
  const known = kept.get(db);
  if (known !== undefined && Date.now() - known.at < KEPT_MS) return known.model;
  const model = read(db);
  kept.set(db, { at: Date.now(), model });
  model.catch(() => kept.delete(db));
  return model;
}

async function read(db: Db): Promise<string | null> {
  // Thousands of hosts have a handful of lists. Simulated hosts run no CPU at all.
  const { rows } = await sql<{ models: readonly string[] | null }>`
    select distinct facts -> 'cpuModels' as models from host where deleted_at is null and hypervisor_type = 'QEMU' and facts ->> 'accelerator' <> 'simulated'`.execute(
    db,
  );
  return commonCpuModel(rows.map(({ models }) => models));
}
