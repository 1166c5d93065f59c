import type { GuestProcess } from '../qemu/guest-process.ts';
import type { QmpClient } from '../qemu/qmp-client.ts';
import { QmpClosed } from '../qemu/qmp-errors.ts';
import { delay } from './deadline.ts';

const answerMs = 2_000;
/** From a forced cancel, its connection cut, to the end of the job. */
const endMs = 3_000;
const prefix = 'copy-';
const snapshotPrefix = 'snapshot-';

/** Name of the mirror of a guest's disk, and of the node that it writes to; the same for every agent. */
export const mirrorName = (migrationId: string, index: number): string => `${prefix}${migrationId.slice(0, 8)}-${index}`;

/** Name of the job that copies a guest's disk for an image, and of the node that it writes to. */
export const snapshotName = (index: number): string => `${snapshotPrefix}${index}`;

/**
 * Takes mirrors away, whoever began them and whatever they wait for; the guest is not touched. `cut` is called first when one still runs: its requests may never be answered, and
 * end without a connection. Resolves also when QEMU is gone, and everything with it.
 */
export async function removeMirrors(qmp: QmpClient, names: readonly string[], cut: () => Promise<void>): Promise<void> {
  const running = async (): Promise<readonly string[]> => {
    const jobs = (await qmp.execute('query-block-jobs', undefined, { timeoutMs: answerMs })) as readonly { readonly device: string }[];
    return jobs.map(({ device }) => device).filter((name) => names.includes(name));
  };
  try {
    const left = await running();
    if (left.length > 0) {
      await cut();
      for (const name of left)
        await qmp.execute('block-job-cancel', { device: name, force: true }, { timeoutMs: answerMs }).catch(tolerate);
      for (const until = performance.now() + endMs; performance.now() < until && (await running()).length > 0; ) await delay(10);
    }
    for (const name of names) await qmp.execute('blockdev-del', { 'node-name': name }, { timeoutMs: answerMs }).catch(tolerate);
  } catch (error) {
    if (!(error instanceof QmpClosed)) throw error;
  }
}

/** Takes away what an agent that died had no time to: mirrors of moves that this one does not go on with, and copies for images, which nobody reads any more. */
export async function sweepMirrors({ qmp, oob }: GuestProcess, moves: readonly string[]): Promise<void> {
  const nodes = (await qmp.execute('query-named-block-nodes', { flat: true }, { timeoutMs: answerMs })) as readonly NamedNode[];
  const kept = moves.map((id) => mirrorName(id, 0).slice(0, -1));
  const names = nodes.flatMap(({ 'node-name': name = '' }) =>
    name.startsWith(snapshotPrefix) || (name.startsWith(prefix) && !kept.some((one) => name.startsWith(one))) ? [name] : [],
  );
  const cut = async (): Promise<void> => {
    const instances = names.map((name) => ({ type: 'block-node', 'node-name': name }));
    await oob.execute('yank', { instances }, { oob: true, timeoutMs: 1_000 }).catch(tolerate);
  };
  if (names.length > 0) await removeMirrors(qmp, names, cut);
}

type NamedNode = { readonly 'node-name'?: string };

/** A job or node that is not there is what was wanted. */
const tolerate = (): void => undefined;
