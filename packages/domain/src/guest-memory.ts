/** Memory of a machine that can be given more while it runs: what it was started with, and a place for the rest, of which its guest is given as much as it is to have. Sizes in MiB. */
export type ScalableMemory = { readonly ramMib: number; readonly maxRamMib?: number; readonly addedRamMib?: number };

/** The smallest piece that QEMU adds and takes (virtio-mem's block): a huge page, so that none is broken up. */
export const memoryStepMib = 2;

/** The most that a flavor can let its servers have: 16 TiB, beyond every host. */
export const largestRamMib = 16_777_216;

/** All that the guest has. */
export const memoryOf = ({ ramMib, addedRamMib }: Pick<ScalableMemory, 'ramMib' | 'addedRamMib'>): number => ramMib + (addedRamMib ?? 0);

/**
 * How large the place for added memory is; null: there is none. Linux takes memory in whole blocks of its own: of 128 MiB, of up to 2 GiB where there is 64 GiB and more. A place that ended within one
 * would end in memory that its guest cannot have.
 */
export function memoryPlaceMib({ ramMib, maxRamMib }: Pick<ScalableMemory, 'ramMib' | 'maxRamMib'>): number | null {
  if (maxRamMib === undefined) return null;
  const block = maxRamMib >= 65_536 ? 2_048 : 128;
  return Math.ceil((maxRamMib - ramMib) / block) * block;
}

/** Why a guest that was started with `ramMib` cannot have so much in all; null: it can, if it takes it. */
export function memorySizeProblem(
  { ramMib, maxRamMib }: { readonly ramMib: number; readonly maxRamMib: number },
  wantedMib: number,
): string | null {
  if (!Number.isSafeInteger(wantedMib) || wantedMib < ramMib || wantedMib > maxRamMib)
    return `${ramMib} to ${maxRamMib} MiB of memory, not ${wantedMib}`;
  const over = (wantedMib - ramMib) % memoryStepMib;
  return over === 0
    ? null
    : `${ramMib} MiB of memory and more in steps of ${memoryStepMib}: ${wantedMib - over} for one, and not ${wantedMib}`;
}

/** Everything wrong with the memory of a machine, one sentence each. */
export function memoryProblems({ ramMib, maxRamMib, addedRamMib }: ScalableMemory): readonly string[] {
  if (maxRamMib === undefined)
    return (addedRamMib ?? 0) === 0 ? [] : [`${addedRamMib} MiB are added to a machine that has no place for them`];
  if (!Number.isSafeInteger(maxRamMib) || maxRamMib <= ramMib || maxRamMib > largestRamMib)
    return [`at most ${maxRamMib} MiB is not more than its ${ramMib} MiB, and up to ${largestRamMib}`];
  const problem = memorySizeProblem({ ramMib, maxRamMib }, memoryOf({ ramMib, ...(addedRamMib !== undefined && { addedRamMib }) }));
  return problem === null ? [] : [`it can have ${problem}`];
}
