import { setTimeout as delay } from 'node:timers/promises';
import { GodwitError } from '@godwit/domain/errors';
import { type CephPool, type CephSpace, clusterArguments, spaceOf } from './ceph-pool.ts';
import { cephTool } from './ceph-tool.ts';

/** `ceph` takes a second of a quiet host to answer, and a host is asked for its facts every few seconds. */
const freshMs = 15_000;
/** A cluster that has not answered for this long has no room that could be promised. */
const knownMs = 60_000;
/** Whoever asks a host for its facts takes one that is silent for 5 s for unreachable, with all its guests: a cluster that does not answer must never look like that. */
const patienceMs = 2_500;

const remembered = new Map<string, () => Promise<CephSpace>>();

/**
 * Room of the pool as the cluster reckoned it, at most a minute ago. Throws GodwitError PoolUnavailable when it does not answer, or has no such pool; but for the first time, within seconds.
 */
export function cephSpace(ceph: CephPool): Promise<CephSpace> {
  const key = JSON.stringify([ceph.conf, ceph.user, ceph.pool]);
  const ask =
    remembered.get(key) ??
    rememberedAnswer(
      () => askSpace(ceph),
      () => performance.now(),
      () => delay(patienceMs, undefined, { ref: false }),
    );
  remembered.set(key, ask);
  return ask();
}

/**
 * An answer is given at once while it is known, and asked for again behind as soon as it is not fresh. The first is waited for; one in the place of an answer that is too old only until `patience` resolves. One question at a time.
 */
export function rememberedAnswer<T>(ask: () => Promise<T>, nowMs: () => number, patience: () => Promise<void>): () => Promise<T> {
  let last: { readonly answer: T; readonly atMs: number } | undefined;
  let asking: Promise<T> | undefined;
  const askAgain = (): Promise<T> => {
    asking ??= ask()
      .then((answer) => {
        last = { answer, atMs: nowMs() };
        return answer;
      })
      .finally(() => {
        asking = undefined;
      });
    return asking;
  };
  return () => {
    if (last === undefined) return askAgain();
    const { answer, atMs } = last;
    const ageMs = nowMs() - atMs;
    if (ageMs <= freshMs) return Promise.resolve(answer);
    const next = askAgain();
    // What it fails with is told to whoever waits for it.
    next.catch(() => undefined);
    if (ageMs <= knownMs) return Promise.resolve(answer);
    const silent = patience().then((): never => {
      throw new GodwitError(
        'PoolUnavailable',
        `the Ceph cluster does not answer, and what it said last is ${Math.round(ageMs / 1_000)} s old`,
      );
    });
    return Promise.race([next, silent]);
  };
}

async function askSpace(ceph: CephPool): Promise<CephSpace> {
  const df: unknown = JSON.parse(await cephTool('ceph', [...clusterArguments(ceph), 'df', '--format', 'json']));
  const space = spaceOf(df, ceph.pool);
  if (space === null) throw new GodwitError('PoolUnavailable', `the Ceph cluster has no pool ${ceph.pool}`);
  return space;
}
