import { GodwitError } from '@godwit/domain/errors';
import { memorySizeProblem } from '@godwit/domain/guest-memory';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { memoryDevice, mib } from './command-line.ts';
import type { QmpClient } from './qmp-client.ts';

type Monitor = Pick<QmpClient, 'execute'>;
const device = `/machine/peripheral/${memoryDevice}`;

/** What a guest is to have of the place for added memory, and what it has of it; MiB. They differ while it takes or gives, and while it boots. */
export type AddedMemory = { readonly askedMib: number; readonly hasMib: number };

/** As QEMU says. */
export async function addedMemory(qmp: Monitor): Promise<AddedMemory> {
  const read = async (property: string): Promise<number> => Number(await qmp.execute('qom-get', { path: device, property })) / mib;
  return { askedMib: await read('requested-size'), hasMib: await read('size') };
}

/** The most that the guest has until somebody asks it for something else: it takes what it is to have, and gives back nothing below. */
export const claimedMib = ({ askedMib, hasMib }: AddedMemory): number => Math.max(askedMib, hasMib);

/** Tells the guest what it is to have. Nothing has changed when this returns: its driver does that. */
export const askForMemory = async (qmp: Monitor, addedMib: number): Promise<void> =>
  void (await qmp.execute('qom-set', { path: device, property: 'requested-size', value: addedMib * mib }));

const lookEveryMs = 50;
/** A Linux that cannot give back a block tries the others, and rests for 50 s when it has tried all: one that has done nothing for so long does nothing more now. */
const givesWithinMs = 5_000;
/** Before it takes its first it makes room for a whole block of its own, which under TCG on a busy host takes seconds. */
const takesWithinMs = 15_000;
/** All of it; with what a guest that gave too little takes again below what the controller waits for an answer. */
const patienceMs = 25_000;

export type Clock = { readonly nowMs: () => number; readonly delay: (ms: number) => Promise<unknown> };

/** Until the guest has so much of the place, or does not go on. What it has then. */
export async function untilGiven(qmp: Monitor, addedMib: number, clock: Clock): Promise<AddedMemory> {
  const startedAt = clock.nowMs();
  let seen = await addedMemory(qmp);
  const idleMs = seen.hasMib > addedMib ? givesWithinMs : takesWithinMs;
  for (let movedAt = startedAt; seen.hasMib !== addedMib; ) {
    const nowMs = clock.nowMs();
    if (nowMs - movedAt >= idleMs || nowMs - startedAt >= patienceMs) break;
    await clock.delay(lookEveryMs);
    const next = await addedMemory(qmp);
    if (next.hasMib !== seen.hasMib) movedAt = clock.nowMs();
    seen = next;
  }
  return seen;
}

/**
 * What a guest is left with that did not go all the way, as it has it: what it took, where it was to take more; and all that it had (`fromMib`), where it was to give back: it has moved what it uses into what was left to it, and
 * has hardly a page free. Nothing more is asked of it when this returns.
 */
export async function settleMemory(qmp: Monitor, fromMib: number, addedMib: number, clock: Clock): Promise<AddedMemory> {
  if (addedMib < fromMib) {
    await askForMemory(qmp, fromMib);
    await untilGiven(qmp, fromMib, clock);
  }
  const startedAt = clock.nowMs();
  for (;;) {
    await askForMemory(qmp, (await addedMemory(qmp)).hasMib);
    // It may have moved a last block meanwhile.
    const seen = await addedMemory(qmp);
    if (seen.askedMib === seen.hasMib || clock.nowMs() - startedAt >= givesWithinMs) return seen;
    await clock.delay(lookEveryMs);
  }
}

/** Why a running machine cannot have so much memory in all; null: it can, if its guest does its part. */
export function memoryRefusal({ ramMib, maxRamMib }: Pick<GuestSpec, 'ramMib' | 'maxRamMib'>, wantedMib: number): GodwitError | null {
  if (maxRamMib === undefined)
    return wantedMib === ramMib
      ? null
      : new GodwitError('HotPlugUnsupported', 'this machine was started without a place for more memory: stop the server and start it');
  const problem = memorySizeProblem({ ramMib, maxRamMib }, wantedMib);
  return problem === null ? null : new GodwitError('BadRequest', `this machine can have ${problem}`);
}

/** Why a guest that was to go from one size of the place to another has not; `movedMib`: how far it came. In all it has what its machine was started with, `ramMib`, and `hasMib`. */
export function unmovedSentence(ramMib: number, fromMib: number, wantedMib: number, movedMib: number, hasMib: number): string {
  const all = `it has ${ramMib + hasMib} MiB`;
  if (wantedMib < fromMib) return `the guest gave back ${movedMib} of ${fromMib - wantedMib} MiB, uses the rest, and was left all: ${all}`;
  return `the guest took ${movedMib} of ${wantedMib - fromMib} MiB${movedMib === 0 ? ', as one does that has no driver for virtio-mem or still boots' : ''}: ${all}`;
}
