/**
 * Suspend: the guest's memory goes to a file and its QEMU ends. The file is one more copy of the guest, and the rules are those of a move to a host that only time separates from this one.
 *
 * - Until the record `suspended` the copy is the process: whatever goes wrong, the guest runs on, and what was written is rubbish. The record is written only when QEMU has completed and stands in
 *   postmigrate, and after the memory itself is durable.
 * - From that record on the copy is the memory: the process gets no `cont` from anybody, and is killed.
 * - Resume is a plain start whose grant names the memory (destination.ts). Its `taking` is fsynced before `cont`: it is what spends the memory. A guest that has run again has acknowledged writes that the
 *   memory knows nothing of; loaded a second time it would lose them, and damage its file systems. *Rejected: removing the file before `cont`*: a file can be put back, or kept by a storage that comes back older; the
 *   journal cannot without all of custody coming back with it. The file is removed too, but nothing rests on that.
 * - Without a `taking` the resume never was: the forfeit gives the suspended copy back, in this boot or any later one.
 */
import type { Epoch } from '../ids.ts';
import type { Copy, HeldCopy, HostCustody } from './host-custody.ts';
import type { HostEffect } from './host-effect.ts';
import { migrationInProgress, type QemuView } from './qemu-view.ts';
import type { Rules } from './rules.ts';
import { answer, type HostTransition, refuse, stay, tell } from './transition.ts';
import { vcpusRefused } from './vcpus-refused.ts';

/** Begins to save the memory of exactly the copy that holds, and only while it runs: what stands on an error, or is paused, is nothing to come back to unasked. */
export function suspendOrdered(state: HostCustody, epoch: Epoch, view: QemuView | null): HostTransition {
  const { copy } = state;
  if (copy.kind === 'suspended' && copy.grant.epoch === epoch) return answer(state, { kind: 'suspended', epoch });
  const code = vcpusRefused(state, epoch, view);
  if (code !== null || copy.kind !== 'held') return refuse(state, code ?? 'custody-epoch-unknown', epoch);
  if (view?.runstate !== 'running') return refuse(state, 'custody-not-ready', epoch);
  return {
    state: { ...state, copy: { ...copy, suspending: true } },
    effects: [
      { kind: 'journal', record: { kind: 'suspending', epoch }, durability: 'plain' },
      { kind: 'saveMemory', epoch },
      tell({ kind: 'done', command: 'suspend', epoch }),
    ],
  };
}

/** Something was seen of a QEMU that saves its memory: the end of it makes the copy the suspended one, or lets it go on. */
export function savingEnded(state: HostCustody, copy: HeldCopy, view: QemuView, rules: Rules): HostTransition {
  if (unfinished(view)) return stay(state);
  if (!stopped(view)) return suspensionGivenUp(state, copy, view);
  const { epoch } = copy.grant;
  return {
    state: { ...state, copy: { kind: 'suspended', grant: copy.grant, process: copy.process } },
    effects: [
      ...(rules.memorySynced ? [{ kind: 'syncMemory', epoch } as const] : []),
      { kind: 'journal', record: { kind: 'suspended', epoch }, durability: 'fsync' },
      ...(rules.suspendedKills ? [{ kind: 'kill', process: copy.process } as const] : []),
      tell({ kind: 'suspended', epoch }),
    ],
  };
}

/** See `suspensionGivenUp`; of a copy that is not being saved (any more) nothing changes. */
export function suspendAbandoned(state: HostCustody, epoch: Epoch, view: QemuView | null): HostTransition {
  const { copy } = state;
  if (copy.kind !== 'held' || copy.suspending !== true || copy.grant.epoch !== epoch || view === null) return stay(state);
  return suspensionGivenUp(state, copy, view);
}

/**
 * The guest goes on. While QEMU is still at it: it is told to cancel, and resumes by itself. Failed or cancelled: it has. Completed and stopped: nothing but this lets it run, and it may, because
 * no record says that the memory is the copy.
 */
export function suspensionGivenUp(state: HostCustody, copy: HeldCopy, view: QemuView): HostTransition {
  if (unfinished(view)) return { state, effects: [{ kind: 'cancel' }] };
  const { epoch } = copy.grant;
  const go: readonly HostEffect[] = stopped(view) ? [{ kind: 'cont' }] : [];
  return {
    state: { ...state, copy: goneOn(copy) },
    effects: [
      ...go,
      { kind: 'journal', record: { kind: 'notSuspended', epoch }, durability: 'plain' },
      tell({ kind: 'notSuspended', epoch }),
    ],
  };
}

/** A held copy whose memory is not being saved. */
export const goneOn = ({ kind, grant, process, alive, settled, outgoing }: HeldCopy): HeldCopy => ({
  kind,
  grant,
  process,
  alive,
  settled,
  outgoing,
});

/** What is left of a copy whose grant is given up: the memory that it was to be loaded from, or nothing. */
export function withoutGrant(copy: Copy): Copy {
  return copy.kind === 'granted' && copy.memory !== undefined ? { kind: 'suspended', grant: copy.memory, process: null } : { kind: 'none' };
}

/** Status turns completed a moment before the runstate turns postmigrate. */
const unfinished = (view: QemuView): boolean =>
  migrationInProgress(view.migration) || (view.migration === 'completed' && view.runstate === 'finish-migrate');

const stopped = (view: QemuView): boolean => view.migration === 'completed' && view.runstate === 'postmigrate';
