/**
 * QEMU as far as custody depends on it; every line is held against the real one by agent/src/custody/conformance. It does things by itself: it resumes a
 * source whose migration failed or was cancelled, and it starts a destination that was told `cont` while it was still loading.
 */
import type { QemuMigrationStatus, QemuRunstate, QemuView } from '../qemu-view.ts';

export type Qemu = {
  /** The epoch of the grant that it was started for; in this model also its pid. */
  readonly epoch: number;
  readonly run: QemuRunstate;
  /** Status of the migration away; `none` before the first. */
  readonly out: QemuMigrationStatus;
  /** Status of the migration here; `none` while listening, or for a plain start. */
  readonly inc: 'none' | 'active' | 'completed';
  /** Told `cont` in inmigrate. */
  readonly autostart: boolean;
  /** Index of the host that it migrates to, and the epoch of the process there. */
  readonly peer: { readonly host: number; readonly epoch: number } | null;
  /** What it writes goes to a file, not to a peer. */
  readonly saving?: true;
  /** Started to load the memory that was saved under this epoch. */
  readonly memory?: number;
};

export const launched = (epoch: number, incoming: boolean, memory?: number): Qemu => ({
  epoch,
  ...(memory !== undefined && { memory }),
  run: incoming || memory !== undefined ? 'inmigrate' : 'prelaunch',
  out: 'none',
  inc: 'none',
  autostart: false,
  peer: null,
});

export const viewOf = (qemu: Qemu | undefined): QemuView | null =>
  qemu === undefined ? null : { runstate: qemu.run, migration: qemu.out === 'none' ? qemu.inc : qemu.out };

export const cont = (qemu: Qemu): Qemu => (qemu.run === 'inmigrate' ? { ...qemu, autostart: true } : { ...qemu, run: 'running' });

export const leaving = (qemu: Qemu): boolean => qemu.out === 'active' || qemu.out === 'pre-switchover' || qemu.out === 'device';

export const saving = (qemu: Qemu): Qemu => ({ ...qemu, out: 'active', peer: null, saving: true });

const notSaving = ({ epoch, memory, run, out, inc, autostart, peer }: Qemu): Qemu => ({
  epoch,
  ...(memory !== undefined && { memory }),
  run,
  out,
  inc,
  autostart,
  peer,
});

/** Failed and cancelled alike: the guest runs on by itself. */
export const ended = (qemu: Qemu, out: 'failed' | 'cancelled'): Qemu => ({ ...notSaving(qemu), out, run: 'running', peer: null });

/**
 * Not only after the destination has loaded: with a return path it waits for the acknowledgement, which may still be on the way when the destination dies, and
 * nothing here shall rest on more than that.
 */
export const completed = (qemu: Qemu): Qemu => ({ ...notSaving(qemu), out: 'completed', run: 'postmigrate', peer: null });

export const loaded = (qemu: Qemu): Qemu => ({ ...qemu, inc: 'completed', run: qemu.autostart ? 'running' : 'paused' });
