import { setTimeout as delay } from 'node:timers/promises';
import type { Logger } from 'pino';
import { ensurePostgres, postgresDied } from './postgres-server.ts';

const RETRY_MS = 500;

/** The embedded server, looked after while a controller runs. */
export type KeptPostgres = {
  /** A connection was lost: if the server has died, it is started again. Returns at once, and may be called as often as connections are lost. */
  readonly connectionLost: () => void;
  /** Resolves when nothing is started any more. */
  readonly stop: () => Promise<void>;
};

/** Starts the embedded server of `directory` again whenever it has died, and never when it was stopped in order: somebody meant that. */
export function keepPostgres(directory: string, log: Logger): KeptPostgres {
  const stopping = new AbortController();
  let looking: Promise<void> | null = null;
  const look = async (): Promise<void> => {
    // Its last processes may still be ending when the first connection breaks, and hold the cluster until then.
    for (let turn = 0; turn < 2 && !stopping.signal.aborted; ) {
      if (await postgresDied(directory)) {
        try {
          const { pid, adopted } = await ensurePostgres({ directory });
          log.warn({ pid, adopted }, 'the embedded PostgreSQL had died and was started again');
          return;
        } catch (error) {
          log.error({ err: error }, 'the embedded PostgreSQL has died and does not start; trying again');
        }
      } else turn += 1;
      await delay(RETRY_MS, undefined, { signal: stopping.signal }).catch(() => {});
    }
  };
  return {
    connectionLost: () => {
      if (stopping.signal.aborted) return;
      looking ??= look().finally(() => {
        looking = null;
      });
    },
    stop: async () => {
      stopping.abort();
      await looking;
    },
  };
}
