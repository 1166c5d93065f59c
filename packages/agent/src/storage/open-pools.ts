import { setTimeout as delay } from 'node:timers/promises';
import { openPool, type Pool, type PoolConfig } from './pool.ts';

/** An agent that has begun again has guests to adopt, and perhaps a switchover of theirs to end: a storage that does not answer must not keep it from them. A cluster that is well takes a second or two. */
const patienceMs = 2_000;
const againMs = 30_000;

export type OpenPoolsLog = {
  readonly warn: (fields: Record<string, unknown>, message: string) => void;
  readonly info: (fields: Record<string, unknown>, message: string) => void;
  readonly error: (fields: Record<string, unknown>, message: string) => void;
};

export type OpenPoolsOptions = {
  readonly open?: (config: PoolConfig) => Promise<Pool>;
  /** Resolves when the agent waits no longer. */
  readonly patience?: () => Promise<void>;
  /** Resolves when a pool that could not be opened is tried again. */
  readonly again?: () => Promise<void>;
};

/**
 * Opens the pools of a host, by name, in the order of its configuration. One that cannot be used, or does not answer in 2 s, is left out and logged: the host serves with the others, and it comes in when it opens, which is
 * tried again every 30 s as long as the process lives.
 */
export async function openPools(
  configs: readonly PoolConfig[],
  log: OpenPoolsLog,
  options: OpenPoolsOptions = {},
): Promise<ReadonlyMap<string, Pool>> {
  const {
    open = openPool,
    patience = () => delay(patienceMs, undefined, { ref: false }),
    again = () => delay(againMs, undefined, { ref: false }),
  } = options;
  const pools = new Map<string, Pool>();
  const add = (pool: Pool): void => {
    const found = new Map(pools).set(pool.name, pool);
    // The first of a kind is where a guest's console log goes: as if it had been there from the beginning.
    pools.clear();
    for (const { name } of configs) {
      const one = found.get(name);
      if (one) pools.set(name, one);
    }
  };
  const openLate = async (config: PoolConfig, first: Promise<Pool>): Promise<void> => {
    for (let opening = first; ; opening = open(config)) {
      try {
        add(await opening);
        log.info({ pool: config.name }, 'a storage pool that was left out has come in');
        return;
      } catch (error) {
        log.warn({ err: error, pool: config.name }, 'a storage pool is still left out');
        await again();
      }
    }
  };
  const waited = patience().then(() => 'late' as const);
  await Promise.all(
    configs.map(async (config) => {
      const opening = open(config);
      try {
        const pool = await Promise.race([opening, waited]);
        if (pool !== 'late') return add(pool);
        log.error({ pool: config.name }, 'a storage pool is left out: it does not answer yet');
        void openLate(config, opening);
      } catch (error) {
        log.error({ err: error, pool: config.name }, 'a storage pool is left out');
        void again().then(() => openLate(config, open(config)));
      }
    }),
  );
  return pools;
}
