import type { Grant } from '@godwit/domain/custody/grant';
import type { HostMessage } from '@godwit/domain/custody/host-effect';
import type { Release } from '@godwit/domain/custody/host-event';
import { GodwitError } from '@godwit/domain/errors';
import type { MigrationId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import type { IncomingReady, MigrationPolicy, PeerAddress, ReleaseNotice } from '../drivers/host-driver.ts';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import { faultPoint } from '../fault-point.ts';
import { tlsDirectory } from '../identity/host-identity.ts';
import type { GuestFact } from '../qemu/guest-fact.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import type { QmpEvent } from '../qemu/qmp-client.ts';
import { QmpTimeout } from '../qemu/qmp-errors.ts';
import { cutConnection } from './cut-connection.ts';
import { delay, within } from './deadline.ts';
import { MigrationRecord } from './migration-record.ts';
import type { MigrationStore } from './migration-store.ts';
import { openPeerLink, type PeerLink } from './peer-link.ts';
import { type MigrateLook, queryMigrate } from './query-migrate.ts';
import { SourceNetwork } from './source-network.ts';
import { credentialsId, removeCredentials, setLimits, setUpOutgoing } from './stream-setup.ts';
import { StreamWatch } from './stream-watch.ts';
import { holdDowntimeLimitMs, stopIsNear } from './switch-timing.ts';

export type MoveGrant = Grant & { readonly migrationId: MigrationId };

export type Outgoing = {
  readonly grant: MoveGrant;
  readonly ready: IncomingReady;
  readonly policy: MigrationPolicy;
  readonly destination: PeerAddress;
};

/** Readings of the destination's clock; the best one counts. On a LAN each takes well under a millisecond. */
const clockReadings = 8;
const clockEveryMs = 1_000;
const lookEveryMs = 40;
/** A main loop that does not answer a query for this long hangs: the stream is cut out of band. */
const hangMs = 2_000;
/** While QEMU connects, its main loop waits for the destination's handshake, and the guest with it. On a busy host that takes 100 ms. */
const handshakeMs = 1_000;
/** From STOP to the end, before the stream is cut: nobody runs meanwhile. */
const switchoverLimitMs = 5_000;
/** A cancel that QEMU has not carried out by then is helped by cutting the stream: the promise is one second. */
const cancelHelpMs = 500;
const releaseAnswerMs = 3_000;
/** QEMU's figures of a finished stream are there at once, unless it hangs. */
const figuresMs = 250;
const releaseRetryMs = [50, 100, 200, 500, 1_000, 2_000] as const;

/**
 * One move away from this host: everything before the stop, the watch over the copy, and what follows the stop. Custody decides and acts (arm, migrate, cancel, release);
 * this prepares, looks, measures and tells.
 */
export class OutgoingMigration {
  readonly record: MigrationRecord;
  readonly move: Outgoing;
  readonly #host: QemuHost;
  readonly #process: GuestProcess;
  readonly #store: MigrationStore;
  readonly #network: SourceNetwork;
  #link: PeerLink;
  #policy: MigrationPolicy;
  #unlisten: () => void = () => undefined;
  /** Why we are ending it, when it is we who end it. */
  #ending: { readonly cause: MigrationCause; readonly detail: string } | null = null;
  #startedAtMs = performance.now();
  #stoppedAt: number | null = null;
  #clockReadAtMs = 0;
  #closed = false;
  #sending = false;
  #connected = false;
  #releaseTold = false;
  readonly #settled = Promise.withResolvers<void>();

  constructor(host: QemuHost, store: MigrationStore, process: GuestProcess, move: Outgoing, record?: MigrationRecord) {
    this.#host = host;
    this.#store = store;
    this.#process = process;
    this.move = move;
    this.#policy = move.policy;
    this.record = record ?? new MigrationRecord(move.grant, 'source', 'armed', host.events, () => host.clock.nowMs());
    this.#link = openPeerLink(move.destination, host.identity.current);
    this.#network = new SourceNetwork(
      host.tools,
      move.grant.migrationId,
      process.spec.nics,
      host.config.managementAddress,
      move.policy.networkSwitch,
    );
  }

  /**
   * Prepares, arms and starts the stream; when it returns, QEMU has accepted `migrate`. When it throws, the guest runs here as before, the source is disarmed, and the
   * record has ended in `failed`.
   */
  async start(): Promise<void> {
    const { record, move } = this;
    const { grant, ready, destination } = move;
    try {
      this.#host.clock.anchor();
      // Side by side: each takes some ten milliseconds on a busy host, and the user waits for the sum.
      await Promise.all([
        this.#link.warm().then(() => record.mark('peer warm', `${destination.address}:${destination.rpcPort}`)),
        setUpOutgoing(this.#process.qmp, {
          migrationId: grant.migrationId,
          tlsDir: tlsDirectory(this.#host.config.stateDir),
          address: ready.ramAddress,
          policy: this.#policy,
          downtimeLimitMs: this.#downtimeLimitMs(),
        }).then(() => record.mark('stream set up')),
        this.#feed({ kind: 'arm', fence: grant.fence, grant }).then(() => record.mark('armed durably')),
      ]);
      await faultPoint('source.warm');
      await this.#save();
      await faultPoint('source.armed');
      this.#listen();
      this.#startedAtMs = performance.now();
      await this.#feed({ kind: 'migrate', fence: grant.fence, epoch: grant.epoch });
      record.become('copying');
      void this.#meetPeer();
      await faultPoint('source.migrating');
      void this.#save();
      void this.#watch();
    } catch (error) {
      await this.#giveUp(error);
      throw error;
    }
  }

  /** Goes on watching a stream that an earlier agent started. */
  resume(): void {
    this.#listen();
    this.record.tell();
    if (this.record.ended) return;
    void this.#meetPeer();
    void this.#watch();
  }

  /**
   * Aborts: disarms, cancels, and waits until QEMU has ended the stream. When it resolves the record has ended, in `released` if QEMU had completed first. A QEMU that does not
   * carry it out within half a second has its stream cut out of band.
   */
  async cancel(cause: MigrationCause, detail: string): Promise<void> {
    if (this.record.ended) return;
    this.#ending ??= { cause, detail };
    const helped = setTimeout(() => void this.#cut('the cancel was not carried out in time'), cancelHelpMs);
    try {
      await this.#feed({ kind: 'disarm', fence: this.#fence(), epoch: this.move.grant.epoch });
      await within(this.#settled.promise, 5_000, undefined);
      // A look at the end: an event may have been missed while the monitor hung.
      if (!this.record.ended) await this.#observe();
    } finally {
      clearTimeout(helped);
    }
  }

  async setPolicy(policy: MigrationPolicy): Promise<void> {
    this.#policy = policy;
    if (!this.record.ended) await setLimits(this.#process.qmp, policy, this.#downtimeLimitMs());
  }

  /** Custody's news about this move. */
  heard(message: HostMessage): void {
    const { record, move } = this;
    switch (message.kind) {
      case 'released':
        if (message.release.epoch === move.grant.epoch) this.#released();
        return;
      case 'disarmed':
        if (message.epoch !== move.grant.epoch) return;
        if (message.source === 'runs') this.#endedHere();
        else if (message.source === 'lost') this.#end('lost', 'SourceDied', "the source's QEMU is dead", 'crashed');
        return;
      case 'resumed':
        if (message.forfeited !== move.grant.epoch) return;
        record.note({ guestState: move.grant.endState === 'running' ? 'running' : 'paused' });
        record.mark('resumed after the forfeit');
        record.tell();
        void this.#cleanUp();
        return;
      case 'ended':
        if (!record.ended) this.#end('lost', 'SourceDied', "the source's QEMU died during the move", 'crashed');
        return;
      default:
        return;
    }
  }

  /** Custody's order to tell the destination. Repeats it until the destination has answered, or this move is closed. */
  send(release: Release): void {
    if (this.#sending) return;
    this.#sending = true;
    const { record } = this;
    const notice: ReleaseNotice = {
      ...release,
      serverId: this.move.grant.serverId,
      stoppedAtMs: record.report.stoppedAtMs ?? 0,
      completedAtMs: record.report.completedAtMs ?? 0,
    };
    void (async () => {
      for (let turn = 0; !this.#closed; turn += 1) {
        try {
          const answered = this.#link.release(notice, releaseAnswerMs);
          if (turn === 0) await faultPoint('source.release-sent');
          const { answer, detail } = await answered;
          record.note({ taken: answer });
          record.mark('release answered', detail === '' ? answer : `${answer}: ${detail}`);
          record.tell();
          if (answer !== 'unknown') break;
        } catch (error) {
          if (turn === 0) record.mark('release not heard', (error as Error).message);
        }
        await delay(releaseRetryMs[Math.min(turn, releaseRetryMs.length - 1)] ?? 2_000);
      }
      this.#sending = false;
      void this.#save();
    })();
  }

  /** A fact about the source's guest. */
  guestIs(fact: GuestFact): void {
    if (this.record.ended) return;
    switch (fact.kind) {
      case 'powered-off':
        void this.cancel(
          'GuestPoweredOff',
          fact.byGuest ? 'the guest powered itself off during the move' : 'the guest was powered off during the move',
        ).catch(this.#logged);
        return;
      case 'panicked':
        void this.cancel('GuestCrashed', `the guest's kernel panicked during the move (${fact.detail})`).catch(this.#logged);
        return;
      case 'io-error':
        void this.cancel('GuestCrashed', `a disk of the guest failed during the move: ${fact.detail}`).catch(this.#logged);
        return;
      case 'broken':
        void this.cancel('GuestCrashed', fact.detail).catch(this.#logged);
        return;
      case 'died':
        void this.#observe().catch(this.#logged);
        return;
      default:
        return;
    }
  }

  /** Lets go of everything of this move; the guest, wherever it is, is not touched. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.#cleanUp();
    this.#link.close();
  }

  // ── before the stop ──

  /** Behind the running copy: the destination's clock, and the tunnels of the frame mirror. Done long before the stop, or the stop is held back. */
  async #meetPeer(): Promise<void> {
    try {
      const { migrationId } = this.move.grant;
      const encapsulation = this.#policy.networkSwitch ? await this.#link.setNetworkOpen(migrationId, false) : null;
      if (encapsulation) await this.#network.prepare(encapsulation);
      else await this.#withoutMirror('the destination has none');
      await this.#readClock();
    } catch (error) {
      await this.#withoutMirror((error as Error).message);
    }
  }

  /** The best of all readings so far; later ones are nearer to the stop, and clocks drift. */
  async #readClock(): Promise<void> {
    this.#clockReadAtMs = performance.now();
    const offset = await this.#link.clock(() => this.#host.clock.nowMs(), clockReadings);
    this.record.note({ clockOffsetMs: offset.offsetMs, clockErrorMs: offset.errorMs });
  }

  /** The move goes on without: frames of the blackout are then lost, as in any other system, and the record says so. */
  async #withoutMirror(why: string): Promise<void> {
    if (!this.#network.giveUp()) return;
    this.record.mark('no frame mirror', why);
    await setLimits(this.#process.qmp, this.#policy, this.#policy.downtimeLimitMs).catch(this.#logged);
  }

  /** Until the mirror is open QEMU is asked to prefer another short round to stopping. */
  #downtimeLimitMs(): number {
    return this.#network.pending ? Math.min(holdDowntimeLimitMs, this.#policy.downtimeLimitMs) : this.#policy.downtimeLimitMs;
  }

  async #openNetwork(why: string): Promise<void> {
    if (!this.#network.begin()) return;
    try {
      await Promise.all([this.#link.setNetworkOpen(this.move.grant.migrationId, true), this.#network.open()]);
      this.record.mark('network open at both', why);
      await setLimits(this.#process.qmp, this.#policy, this.#policy.downtimeLimitMs);
      if (this.#stoppedAt === null) await this.#readClock();
    } catch (error) {
      await this.#withoutMirror((error as Error).message);
    }
  }

  // ── while it goes on ──

  #listen(): void {
    const { record } = this;
    const offQmp = this.#process.qmp.on((event: QmpEvent) => {
      const at = this.#host.clock.ofStamp(event.timestampMs);
      if (event.event === 'STOP' && !record.ended) {
        this.#stoppedAt = performance.now();
        record.note({ stoppedAtMs: at });
        record.mark('STOP', '', at);
        void this.#openNetwork('late: QEMU stopped first');
        void faultPoint('source.stopped');
      } else if (event.event === 'RESUME' && this.#stoppedAt !== null) {
        // The guest runs here again: only QEMU's own resume after a failure does that before custody has spoken.
        record.mark('RESUME at the source', '', at);
        void this.#network.undo().catch(this.#logged);
        void this.#observe().catch(this.#logged);
      } else if (event.event === 'MIGRATION') {
        const status = String(event.data['status']);
        record.mark(`QEMU ${status}`, '', at);
        if (status === 'completed') void this.#completed(at).catch(this.#logged);
        else {
          record.note({ qemuStatus: status });
          if (status === 'failed' || status === 'cancelled') void this.#observe().catch(this.#logged);
          else if (status === 'pre-switchover') record.become('pre-switchover');
        }
      } else if (event.event === 'MIGRATION_PASS') record.mark('round', String(event.data['pass']), at);
    });
    this.#unlisten = offQmp;
  }

  /** The critical path: from QEMU's `completed` to the release on the wire. Nothing here may wait for anything but QEMU. */
  async #completed(at: number): Promise<void> {
    this.record.note({ completedAtMs: at, qemuStatus: 'completed' });
    const point = faultPoint('source.completed');
    if (point) await point;
    // QEMU says `completed` an instant before its run state says `postmigrate`; custody wants to see both.
    for (let turn = 0; !this.record.ended && !this.#releaseTold && turn < 500; turn += 1) {
      await this.#observe();
      if (!this.record.ended && !this.#releaseTold) await new Promise((resolve) => setTimeout(resolve, turn < 20 ? 0 : 2));
    }
  }

  async #watch(): Promise<void> {
    const watch = new StreamWatch(performance.now());
    let silent = 0;
    while (!this.record.ended && !this.#closed) {
      await delay(lookEveryMs);
      if (this.record.ended || this.#closed) return;
      try {
        const look = await queryMigrate(this.#process.qmp, this.#connected ? hangMs : handshakeMs);
        silent = 0;
        if (look.status !== 'none' && look.status !== 'setup') this.#connected = true;
        await this.#seen(look, watch);
      } catch (error) {
        if (error instanceof QmpTimeout) {
          silent += 1;
          if (!this.#connected) await this.#cut('the destination does not answer the handshake');
          else if (silent >= 2) await this.#cut("QEMU's main loop does not answer");
        } else return; // closed: the death of the process is reported by itself
      }
    }
  }

  async #seen(look: MigrateLook, watch: StreamWatch): Promise<void> {
    const { record } = this;
    const now = performance.now();
    record.note({ ...(look.ram && { ram: look.ram }), ...(record.report.completedAtMs === null && { qemuStatus: look.status }) });
    if (record.ended || this.#ending) return;
    const elapsedMs = now - this.#startedAtMs;
    if (this.#stoppedAt === null) {
      // Neither is waited for: a dead link must not keep us from seeing that it is dead. The clock also keeps the connection warm: an idle one would first be pinged, inside the blackout.
      if (now - this.#clockReadAtMs > clockEveryMs) void this.#readClock().catch(() => undefined);
      if (this.#network.pending && stopIsNear(look.ram, elapsedMs)) void this.#openNetwork('the stop is near').catch(this.#logged);
      if (watch.stalled(look.ram, now))
        return this.cancel('StreamFailed', `the stream to ${this.move.ready.ramAddress}:${this.move.ready.ramPort} stood still for 5 s`);
      if (this.#policy.deadlineMs > 0 && elapsedMs > this.#policy.deadlineMs)
        return this.cancel('DeadlineExceeded', `copying took longer than ${this.#policy.deadlineMs} ms`);
    } else if (now - this.#stoppedAt > switchoverLimitMs && record.report.completedAtMs === null) {
      this.#ending = { cause: 'SwitchoverTimeout', detail: `the switchover was not finished ${switchoverLimitMs} ms after the stop` };
      await this.#cut('the switchover takes too long');
    }
    if (look.status === 'failed' || look.status === 'cancelled' || look.status === 'completed') await this.#observe();
  }

  /**
   * Ends the stream out of band: works while QEMU's main loop hangs. QEMU then fails the migration and resumes the guest by itself. First by QEMU's own means, which know
   * the stream best; then by taking its connection away.
   */
  async #cut(why: string): Promise<void> {
    this.record.mark('stream cut', why);
    this.#ending ??= { cause: 'StreamFailed', detail: why };
    await this.#process.oob
      .execute('yank', { instances: [{ type: 'migration' }] }, { oob: true, timeoutMs: 1_000 })
      .catch((error: unknown) => this.record.mark('yank refused', (error as Error).message));
    if (!this.record.ended) await cutConnection(this.move.ready.ramAddress, this.move.ready.ramPort);
  }

  // ── the ends ──

  /** The release is on its way; QEMU's own figures are asked for before the state is told, so that whoever reads it reads all. */
  #released(): void {
    if (this.#releaseTold) return;
    this.#releaseTold = true;
    const { record } = this;
    const { grant } = this.move;
    const { stoppedAtMs, completedAtMs } = record.report;
    record.mark('release sent');
    const release: ReleaseNotice = {
      serverId: grant.serverId,
      migrationId: grant.migrationId,
      source: this.#host.hostId,
      destination: grant.destination,
      epoch: grant.epoch,
      stoppedAtMs: stoppedAtMs ?? 0,
      completedAtMs: completedAtMs ?? 0,
    };
    this.#host.events.emit({ kind: 'release', release });
    void this.#host.controller.reportRelease(release);
    void (async () => {
      const look = await within(
        queryMigrate(this.#process.qmp, hangMs).catch(() => null),
        figuresMs,
        null,
      );
      record.become('released', {
        guestState: 'released',
        ...(look && {
          qemuStatus: look.status,
          qemuDowntimeMs: look.downtimeMs,
          qemuTotalMs: look.totalMs,
          ...(look.ram && { ram: look.ram }),
        }),
      });
      this.#settled.resolve();
      await this.#save();
    })().catch(this.#logged);
  }

  /** The stream has ended and the guest is still ours. */
  #endedHere(): void {
    const ending = this.#ending;
    const state =
      ending === null
        ? 'failed'
        : ending.cause === 'CancelledByOperator'
          ? 'cancelled'
          : ending.cause === 'GuestPoweredOff' || ending.cause === 'GuestCrashed'
            ? 'guest-gone'
            : 'failed';
    const guest = ending?.cause === 'GuestPoweredOff' ? 'shutoff' : ending?.cause === 'GuestCrashed' ? 'crashed' : this.#runsAs();
    if (ending) {
      this.#end(state, ending.cause, ending.detail, guest);
      return;
    }
    void queryMigrate(this.#process.qmp, hangMs)
      .catch(() => null)
      .then((look) => this.#end('failed', 'StreamFailed', look?.error || 'the stream broke', guest));
  }

  #runsAs(): 'running' | 'paused' {
    return this.move.grant.endState === 'paused' ? 'paused' : 'running';
  }

  #end(
    state: 'cancelled' | 'failed' | 'guest-gone' | 'lost',
    cause: MigrationCause,
    detail: string,
    guestState: 'running' | 'paused' | 'shutoff' | 'crashed',
  ): void {
    this.record.fail(state, cause, detail, { guestState });
    this.#settled.resolve();
    void this.#cleanUp().catch(this.#logged);
    void this.#save().catch(this.#logged);
  }

  async #giveUp(error: unknown): Promise<void> {
    this.#ending ??= { cause: error instanceof GodwitError ? 'PrepareFailed' : 'StreamFailed', detail: (error as Error).message };
    await this.#feed({ kind: 'disarm', fence: this.#fence(), epoch: this.move.grant.epoch }).catch(this.#logged);
    if (!this.record.ended) this.#end('failed', this.#ending.cause, this.#ending.detail, this.#runsAs());
    await this.close();
  }

  async #cleanUp(): Promise<void> {
    this.#unlisten();
    await this.#network.remove().catch(this.#logged);
    if (this.#network.wasOpen && this.record.report.state !== 'released')
      await this.#link.setNetworkOpen(this.move.grant.migrationId, false).catch(() => undefined);
    await removeCredentials(this.#process.qmp, credentialsId(this.move.grant.migrationId));
    if (this.record.ended && !this.#sending) this.#link.close();
  }

  // ── custody ──

  async #observe(): Promise<void> {
    await this.#feed({ kind: 'observed' });
  }

  async #feed(event: Parameters<QemuHost['custody']['feed']>[1]): Promise<void> {
    for (const message of await this.#host.custody.feed(this.move.grant.serverId, event)) this.heard(message);
  }

  /** The fence that custody obeys now: ours may be older by the time we end a move by ourselves. */
  #fence() {
    const known = this.#host.custody.state(this.move.grant.serverId).fence;
    return known > this.move.grant.fence ? known : this.move.grant.fence;
  }

  async #save(): Promise<void> {
    const { grant, ready, destination } = this.move;
    await this.#store.write({
      role: 'source',
      grant,
      peer: destination,
      policy: this.#policy,
      ready,
      udpPort: null,
      report: this.record.report,
    });
  }

  readonly #logged = (error: unknown): void =>
    this.#host.log.warn({ err: error, migrationId: this.move.grant.migrationId }, 'a step of an outgoing move failed');
}
