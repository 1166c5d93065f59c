/** What a guest does outside a move, as QEMU tells it. The server states that follow are the controller's business. */
export type GuestFact =
  | { readonly kind: 'running' }
  | { readonly kind: 'paused' }
  /** Waits for, or loads, a migration stream. */
  | { readonly kind: 'incoming' }
  /** Started with stopped vCPUs; has never run. */
  | { readonly kind: 'prelaunch' }
  /** A source whose stream is complete, or that is stopping for it: the migration engine's to interpret. */
  | { readonly kind: 'migrated' }
  /** Powered off from inside, or told to over ACPI: QEMU stays, stopped, until custody ends it. */
  | { readonly kind: 'powered-off'; readonly byGuest: boolean; readonly reason: string }
  /** It started again from its firmware; it runs. */
  | { readonly kind: 'reset'; readonly byGuest: boolean; readonly reason: string }
  | { readonly kind: 'panicked'; readonly detail: string }
  /** A disk refused a write: the guest is stopped, and can go on (`cont`) when the cause is gone. */
  | { readonly kind: 'io-error'; readonly device: string; readonly noSpace: boolean }
  /** QEMU gave up on it (KVM internal error, watchdog, …). */
  | { readonly kind: 'broken'; readonly runState: string; readonly detail: string }
  /** The process is dead. `clean`: it ended by itself with code 0. */
  | { readonly kind: 'died'; readonly clean: boolean; readonly cause: string; readonly lastLines: readonly string[] };

/** What cannot go on: the guest has powered off, its kernel has panicked, or QEMU has given it up. An I/O error is not among them: that guest continues when the disk does. */
export const isSpent = (fact: GuestFact | null): boolean =>
  fact?.kind === 'powered-off' || fact?.kind === 'panicked' || fact?.kind === 'broken';

/** An I/O error, as a person reads it. */
export const standsStill = ({ device, noSpace }: Extract<GuestFact, { kind: 'io-error' }>): string =>
  device === 'unknown'
    ? 'the guest stands still: a disk has refused a write'
    : `the guest stands still: a disk ${noSpace ? 'is full' : 'has failed'} (${device})`;

/**
 * The fact behind a run state of query-status, as a restarted agent finds it. Null for states that last only an instant
 * (`finish-migrate`, `restore-vm`, `save-vm`, `debug`, `colo`).
 */
export function factOfRunState(runState: string): GuestFact | null {
  switch (runState) {
    case 'running':
      return { kind: 'running' };
    case 'paused':
    case 'suspended':
      return { kind: 'paused' };
    case 'prelaunch':
    case 'preconfig':
      return { kind: 'prelaunch' };
    case 'inmigrate':
      return { kind: 'incoming' };
    case 'postmigrate':
      return { kind: 'migrated' };
    case 'shutdown':
      return { kind: 'powered-off', byGuest: true, reason: 'found powered off' };
    case 'guest-panicked':
      return { kind: 'panicked', detail: 'found panicked' };
    case 'io-error':
      return { kind: 'io-error', device: 'unknown', noSpace: false };
    case 'internal-error':
    case 'watchdog':
      return { kind: 'broken', runState, detail: `QEMU reports the run state ${runState}` };
    default:
      return null;
  }
}

type Event = { readonly event: string; readonly data: Readonly<Record<string, unknown>> };

/**
 * The fact behind an event, or `look` when only QEMU's state can tell (STOP says that it stopped, not why), or null when it is none of ours.
 */
export function factOfEvent(event: Event): GuestFact | 'look' | null {
  const data = event.data;
  switch (event.event) {
    case 'SHUTDOWN':
      return { kind: 'powered-off', byGuest: data['guest'] === true, reason: text(data['reason']) };
    case 'RESET':
      return { kind: 'reset', byGuest: data['guest'] === true, reason: text(data['reason']) };
    case 'GUEST_PANICKED':
      return {
        kind: 'panicked',
        detail: `action ${text(data['action'])}${data['info'] === undefined ? '' : `, ${JSON.stringify(data['info'])}`}`,
      };
    case 'BLOCK_IO_ERROR':
      return data['action'] === 'stop' ? 'look' : null;
    case 'STOP':
    case 'RESUME':
    case 'SUSPEND':
    case 'WAKEUP':
    case 'WATCHDOG':
      return 'look';
    default:
      return null;
  }
}

const text = (value: unknown): string => (typeof value === 'string' && value !== '' ? value : 'unknown');
