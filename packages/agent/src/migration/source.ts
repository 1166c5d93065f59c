import type { HostMessage } from '@godwit/domain/custody/host-effect';
import type { Release } from '@godwit/domain/custody/host-event';
import { GodwitError } from '@godwit/domain/errors';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import type { MigrationCause } from '@godwit/domain/migration';
import type { MigrationPolicy, ReleaseNotice } from '../drivers/host-driver.ts';
import type { MigrationReport } from '../drivers/migration-report.ts';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import { faultPoint } from '../fault-point.ts';
import { tlsDirectory } from '../identity/host-identity.ts';
import type { GuestFact } from '../qemu/guest-fact.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { QmpClosed, type QmpEvent, QmpTimeout } from '../qemu/qmp-client.ts';
import { ApproachToStop } from './approach-to-stop.ts';
import { CarriedMemory } from './carried-memory.ts';
import { cutConnection } from './cut-connection.ts';
import { delay, within } from './deadline.ts';
import type { DiskMirrors } from './disk-mirrors.ts';
import { hangMs, lookOn } from './look-loop.ts';
import { MigrationRecord } from './migration-record.ts';
import type { MigrationStore } from './migration-store.ts';
import { MirrorBroken } from './mirror-broken.ts';
import { memoryToCopy, mirrorsOf } from './mirrors-of.ts';
import type { Outgoing } from './outgoing.ts';
import { openPeerLink, type PeerLink } from './peer-link.ts';
import { type MigrateLook, queryMigrate } from './query-migrate.ts';
import { ReleaseSender } from './release-sender.ts';
import { type Ending, endedAs, endingFor, isGuestsOwn } from './source-endings.ts';
import { Steering } from './steering.ts';
import { credentialsId, removeCredentials, setThrottle, setUpOutgoing } from './stream-setup.ts';
import { StreamWatch } from './stream-watch.ts';
import { breathMs } from './switch-timing.ts';

/** A cancel that QEMU has not carried out by then is helped by cutting the stream: the promise is one second. */
const cancelHelpMs = 500;
/** Custody gives pre-switchover a second; what is not in step by then is cancelled a little before. */
const settleMs = 900;
/** From STOP, or from the release, until others hear of the move again: longer than a switchover, shorter than a person notices. */
const hushMs = 100;
/** A destination that has not answered by then gets the release again, also by way of the controller. */
const answerMs = 50;
/** QEMU's figures of a finished stream are there at once, unless it hangs. */
const figuresMs = 250;

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
  readonly #link: PeerLink;
  readonly #approach: ApproachToStop;
  readonly #sender: ReleaseSender;
  readonly #steering: Steering;
  /** null: no disk is copied. */
  readonly #mirrors: DiskMirrors | null;
  readonly #carried: CarriedMemory;
  readonly #restored: boolean;
  #policy: MigrationPolicy;
  #unlisten: () => void = () => undefined;
  /** Why we are ending it, when it is we who end it. */
  #ending: Ending | null = null;
  #startedAtMs = performance.now();
  #stoppedAt: number | null = null;
  #closed = false;
  #releaseTold = false;
  #endingDisks = false;
  /** What this move has been given precedence by. */
  readonly #precedence: (() => void)[] = [];
  /** Whether the mirrors of an earlier agent have been found again. */
  #adopted: Promise<void> = Promise.resolve();
  readonly #settled = Promise.withResolvers<void>();

  constructor(host: QemuHost, store: MigrationStore, process: GuestProcess, move: Outgoing, record?: MigrationRecord) {
    this.#host = host;
    this.#store = store;
    this.#process = process;
    this.move = move;
    this.#restored = record !== undefined;
    this.record = record ?? new MigrationRecord(move.grant, 'source', 'armed', host.events, () => host.clock.nowMs());
    this.#link = openPeerLink(move.destination, host.identity.current);
    this.#steering = new Steering(move.policy, this.record, {
      setDowntimeLimit: (downtimeLimitMs) => this.#approach.setPolicy({ ...this.#policy, downtimeLimitMs }),
      setThrottle: (percent) => setThrottle(this.#process.qmp, percent),
      giveUp: (cause, why) => this.cancel(cause, why),
    });
    this.#policy = { ...move.policy, downtimeLimitMs: this.#steering.firstLimitMs ?? move.policy.downtimeLimitMs };
    this.#approach = new ApproachToStop(host, process, { ...move, policy: this.#policy }, this.record, this.#link, this.#restored);
    this.#sender = new ReleaseSender(this.#link, this.record);
    this.#mirrors = mirrorsOf(process, move);
    this.#carried = new CarriedMemory(this.#stream === 'zstd');
    if (this.record.ended) this.#settled.resolve();
  }

  /**
   * Prepares, arms and starts the stream; when it returns, QEMU has accepted `migrate`, or with disks to copy, their mirrors have begun; or the guest has ended meanwhile, or stands still, the source is disarmed, and
   * the record has ended so. When it throws, the guest runs here as before, the source is disarmed, and the record has ended in `failed`.
   */
  async start(): Promise<void> {
    const { record, move } = this;
    const { grant, ready, destination } = move;
    // QEMU carries the run state along: a guest that stands still already would stand still at the destination (conformance: io-error-arrives-as-io-error).
    const fact = this.#host.guests.fact(grant.serverId);
    const before = fact && endingFor(fact);
    if (before !== null && before !== 'look') return this.cancel(before.cause, before.detail);
    try {
      this.#host.clock.anchor();
      this.#precedence.push(this.#host.precedence.ofAgent());
      // Side by side: each takes some ten milliseconds on a busy host, and the user waits for the sum.
      await Promise.all([
        this.#link.warm().then(() => record.mark('peer warm', `${destination.address}:${destination.rpcPort}`)),
        setUpOutgoing(this.#process.qmp, {
          migrationId: grant.migrationId,
          tlsDir: tlsDirectory(this.#host.config.stateDir),
          plain: ready.ramPlain,
          stream: this.#stream,
          address: ready.ramAddress,
          policy: this.#policy,
          downtimeLimitMs: this.#approach.downtimeLimitMs,
          pauseBeforeSwitchover: this.#mirrors !== null,
        }).then(() => record.mark('stream set up', `${ready.ramPlain ? 'without TLS' : 'TLS'}, ${this.#stream}`)),
        this.#feed({ kind: 'arm', fence: grant.fence, grant }).then(() => record.mark('armed durably')),
      ]);
      await faultPoint('source.warm');
      await this.#save();
      await faultPoint('source.armed');
      this.#listen();
      if (this.#mirrors === null) return await this.#copyMemory();
      await this.#mirrors.begin();
      record.note({ disks: this.#mirrors.progress, ram: memoryToCopy(this.#process, 0) });
      record.mark('disks copying', `${ready.ramAddress}:${ready.nbdPort}, ${ready.nbdPlain ? 'without TLS' : 'TLS'}`);
      record.become('copying');
      await faultPoint('source.mirroring');
      void this.#save().catch(this.#logged);
      void this.#copyDisks(this.#mirrors);
    } catch (error) {
      await this.#giveUp(error);
      if (!isGuestsOwn(this.#ending ?? { cause: 'StreamFailed', detail: '' })) throw error;
    }
  }

  /** As the destination takes it. */
  get #stream(): MemoryStream {
    return this.move.ready.stream?.used ?? 'single';
  }

  /** A look with the speed of memory, and what is known by it for the stop. */
  async #look(timeoutMs: number): Promise<MigrateLook> {
    return this.#asMemory(await queryMigrate(this.#process.qmp, timeoutMs));
  }

  #asMemory(look: MigrateLook): MigrateLook {
    if (look.ram === null) return look;
    const ram = this.#carried.seen(look.ram);
    this.#approach.carries(this.#carried.atStop);
    const { perByte } = this.#carried;
    return { ...look, ram, ...(perByte !== null && { memoryPerByte: perByte }) };
  }

  async #copyMemory(): Promise<void> {
    const { fence, epoch } = this.move.grant;
    this.#startedAtMs = performance.now();
    await this.#feed({ kind: 'migrate', fence, epoch });
    this.record.become('copying');
    void this.#approach.meetPeer();
    await faultPoint('source.migrating');
    void this.#save().catch(this.#logged);
    void this.#watch();
  }

  /** Memory follows when every disk is in step: a mirror that is not would be waited for while the guest stands. */
  async #copyDisks(mirrors: DiskMirrors): Promise<void> {
    this.#watchDisks(mirrors);
    try {
      await mirrors.ready;
      if (this.record.ended || this.#ending) return;
      this.record.note({ disks: mirrors.progress });
      this.record.mark('disks in step');
      await faultPoint('source.mirrors-ready');
      await this.#copyMemory();
    } catch (error) {
      this.#disksBroken(error);
    }
  }

  #watchDisks(mirrors: DiskMirrors): void {
    const { record } = this;
    const { deadlineMs } = this.#policy;
    const begunAtMs = performance.now();
    let blocking = false;
    const seen = (): void => {
      const aloneYet = record.report.qemuStatus === 'none';
      // Once memory is on its way too, its own look says the rest.
      record.note({ disks: mirrors.progress, ...(aloneYet && { ram: memoryToCopy(this.#process, mirrors.mbps) }) });
      if (mirrors.blocking && !blocking) record.mark('disk writes wait for the destination', `${mirrors.behindBytes} bytes behind`);
      blocking = mirrors.blocking;
      if (aloneYet && deadlineMs > 0 && performance.now() - begunAtMs > deadlineMs)
        void this.cancel('DeadlineExceeded', `copying took longer than ${deadlineMs} ms`).catch(this.#logged);
    };
    mirrors.watch(seen).catch((error: unknown) => this.#disksBroken(error));
  }

  /** Nobody runs now: what the mirrors owe is written, and only when all of it is safe at the destination QEMU may go on. Anything else cancels, and the guest runs on here. */
  async #endDisks(): Promise<void> {
    if (this.#mirrors === null || this.#endingDisks || this.record.ended || this.#ending) return;
    this.#endingDisks = true;
    const behind = this.#mirrors.behindBytes;
    try {
      await faultPoint('source.pre-switchover');
      await this.#adopted;
      await this.#mirrors.settle(settleMs);
      this.record.note({ disks: this.#mirrors.progress });
      this.record.mark('disks whole', `${behind} bytes behind at the last look`);
      await faultPoint('source.disks-whole');
      await this.#feed({ kind: 'continue', fence: this.#fence(), epoch: this.move.grant.epoch });
    } catch (error) {
      this.#disksBroken(error);
    }
  }

  #disksBroken(error: unknown): void {
    // The end of the move ends its mirrors too.
    if (this.record.ended || this.#ending || this.#releaseTold) return;
    const cause = error instanceof MirrorBroken ? error.migrationCause : 'StreamFailed';
    void this.cancel(cause, (error as Error).message).catch(this.#logged);
  }

  /** Goes on watching a stream that an earlier agent started. */
  resume(): void {
    this.#listen();
    this.record.tell();
    // Released: the destination has been told, and its network stays open.
    if (this.record.ended || this.#releaseTold) return;
    this.#precedence.push(this.#host.precedence.ofAgent());
    void this.#approach.meetPeer();
    void this.#watch();
    if (this.#mirrors) {
      const mirrors = this.#mirrors;
      this.#adopted = mirrors.adopt().then(() => this.#watchDisks(mirrors));
      this.#adopted.catch((error: unknown) => this.#disksBroken(error));
    }
  }

  /**
   * Aborts: disarms, cancels, and waits until QEMU has ended the stream. When it resolves the record has ended, in `released` if QEMU had completed first. A QEMU that does not
   * carry it out within half a second has its stream cut out of band.
   */
  async cancel(cause: MigrationCause, detail: string): Promise<void> {
    if (this.record.ended) return;
    const before = this.#ending;
    this.#ending ??= { cause, detail };
    const helped = setTimeout(() => void this.#cut('the cancel was not carried out in time'), cancelHelpMs);
    try {
      await this.#feed({ kind: 'disarm', fence: this.#fence(), epoch: this.move.grant.epoch }).catch((error: unknown) => {
        // It goes on, and whoever sees next why it must not cancels again.
        this.#ending = before;
        throw error;
      });
      await within(this.#settled.promise, 5_000, undefined);
      // A look at the end: an event may have been missed while the monitor hung.
      if (!this.record.ended) await this.#observe();
    } finally {
      clearTimeout(helped);
    }
  }

  async setPolicy(policy: MigrationPolicy): Promise<void> {
    this.#policy = policy;
    await this.#mirrors?.setSpeed(policy.maxBandwidthBytes);
    await this.#steering.setPolicy(policy);
    await this.#save();
  }

  /** Custody's news about this move. */
  heard(message: HostMessage): void {
    const { record, move } = this;
    switch (message.kind) {
      case 'released':
        if (message.release.epoch === move.grant.epoch) this.#released(message.release);
        return;
      case 'disarmed':
        if (message.epoch !== move.grant.epoch) return;
        if (message.source === 'runs') this.#endedHere();
        else if (message.source === 'lost') this.#lost("the source's QEMU is dead");
        return;
      case 'resumed':
        if (message.forfeited !== move.grant.epoch) return;
        record.note({ guestState: move.grant.endState === 'running' ? 'running' : 'paused' });
        record.mark('resumed after the forfeit');
        record.tell();
        void this.#cleanUp().catch(this.#logged);
        return;
      case 'ended':
        this.#lost("the source's QEMU died during the move");
        return;
      default:
        return;
    }
  }

  /** Custody's order to tell the destination. Repeats it until the destination has answered, or this move is closed. */
  send(release: Release): void {
    const now = (): ReleaseNotice => {
      const notice = this.#notice(release);
      return notice.stoppedAtMs === 0 ? notice : { ...notice, sinceStopMs: this.#host.clock.nowMs() - notice.stoppedAtMs };
    };
    this.#sender.send(now, () => void this.#save().catch(this.#logged));
  }

  /** A fact about the source's guest. */
  guestIs(fact: GuestFact): void {
    if (this.record.ended) return;
    const ending = endingFor(fact);
    if (ending === 'look') void this.#observe().catch(this.#logged);
    else if (ending) void this.cancel(ending.cause, ending.detail).catch(this.#logged);
  }

  /** Resolves when it is decided whether the guest leaves. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  /** Lets go of everything of this move; the guest, wherever it is, is not touched. */
  async close(): Promise<void> {
    // What is cleaned up has the migration's name: a second time it might be the next attempt's.
    if (this.#closed) return;
    this.#closed = true;
    this.#sender.close();
    await this.#cleanUp();
    this.#link.close();
  }

  // ── while it goes on ──

  #listen(): void {
    const { record } = this;
    const offQmp = this.#process.qmp.on((event: QmpEvent) => {
      const at = this.#host.clock.ofStamp(event.timestampMs);
      if (event.event === 'STOP' && !record.ended) {
        this.#stoppedAt = performance.now();
        record.hush(hushMs);
        // What is left to send, and the state of the devices.
        this.#precedence.push(this.#host.precedence.ofGuest(this.#process.ref.pid));
        record.note({ stoppedAtMs: at });
        record.mark('STOP', '', at);
        this.#approach.stopped();
        void faultPoint('source.stopped');
      } else if (event.event === 'RESUME' && this.#stoppedAt !== null) {
        // The guest runs here again: only QEMU's own resume after a failure does that before custody has spoken.
        record.mark('RESUME at the source', '', at);
        this.#approach.undo();
        void this.#observe().catch(this.#logged);
      } else if (event.event === 'MIGRATION') {
        const status = String(event.data['status']);
        record.mark(`QEMU ${status}`, '', at);
        if (status === 'completed') void this.#completed(at).catch(this.#logged);
        else {
          record.note({ qemuStatus: status });
          if (status === 'failed' || status === 'cancelled') void this.#observe().catch(this.#logged);
          else if (status === 'pre-switchover') {
            record.become('pre-switchover');
            void this.#endDisks();
          }
        }
      } else if (event.event === 'MIGRATION_PASS') {
        record.mark('round', String(event.data['pass']), at);
        void this.#roundEnded().catch(this.#logged);
      }
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

  /** What is left right after a round is what a stop would have to send: looked at now, not at the next look. */
  async #roundEnded(): Promise<void> {
    if (this.record.ended || this.#ending || this.#stoppedAt !== null) return;
    const look = await this.#look(hangMs);
    if (look.ram) this.record.note({ ram: look.ram });
    if (!this.record.ended && !this.#ending && this.#stoppedAt === null)
      await this.#steering.seen(look, performance.now() - this.#startedAtMs);
  }

  async #watch(): Promise<void> {
    const progress = new StreamWatch(performance.now());
    await lookOn(this.#process.qmp, {
      over: () => this.record.ended || this.#closed,
      seen: (look) =>
        this.#seen(this.#asMemory(look), progress).catch((error: unknown) => {
          if (error instanceof QmpTimeout || error instanceof QmpClosed) throw error;
          this.#logged(error);
        }),
      hung: (why) => this.#cut(why),
    });
  }

  async #seen(look: MigrateLook, progress: StreamWatch): Promise<void> {
    const { record } = this;
    const now = performance.now();
    record.note({ ...(look.ram && { ram: look.ram }), ...(record.report.completedAtMs === null && { qemuStatus: look.status }) });
    if (record.ended || this.#ending) return;
    const elapsedMs = now - this.#startedAtMs;
    if (this.#stoppedAt === null) {
      this.#approach.seen(look.ram, elapsedMs);
      if (this.#approach.peerGone) return this.cancel('DestinationDown', "the destination's agent has not answered for 15 s");
      if (progress.stalled(look.ram, now))
        return this.cancel('StreamFailed', `the stream to ${this.move.ready.ramAddress}:${this.move.ready.ramPort} stood still for 5 s`);
      if (this.#policy.convergence) await this.#steering.seen(look, elapsedMs);
      else if (this.#policy.deadlineMs > 0 && elapsedMs > this.#policy.deadlineMs)
        return this.cancel('DeadlineExceeded', `copying took longer than ${this.#policy.deadlineMs} ms`);
    } else if (now - this.#stoppedAt > this.#steering.switchoverLimitMs && record.report.completedAtMs === null) {
      this.#ending = {
        cause: 'SwitchoverTimeout',
        detail: `the switchover was not finished ${this.#steering.switchoverLimitMs} ms after the stop`,
      };
      await this.#cut('the switchover takes too long');
    }
    // An agent that took over may have missed the event.
    if (look.status === 'pre-switchover') void this.#endDisks();
    // A look may see the end before its event is heard of.
    const point = look.status === 'completed' ? faultPoint('source.completed') : undefined;
    if (point) await point;
    if (look.status === 'failed' || look.status === 'cancelled' || look.status === 'completed') await this.#observe();
  }

  /**
   * Ends the stream out of band: works while QEMU's main loop hangs. QEMU then fails the migration and resumes the guest by itself. First by QEMU's own means, which know
   * the stream best; then by taking its connection away.
   */
  async #cut(why: string): Promise<void> {
    this.record.mark('stream cut', why);
    this.#ending ??= { cause: 'StreamFailed', detail: why };
    // A guest that stops waits for what the mirrors have sent: a dead link holds it there.
    if (this.#mirrors) await this.#mirrors.cut();
    await this.#process.oob
      .execute('yank', { instances: [{ type: 'migration' }] }, { oob: true, timeoutMs: 1_000 })
      .catch((error: unknown) => this.record.mark('yank refused', (error as Error).message));
    if (!this.record.ended) await cutConnection(this.move.ready.ramAddress, this.move.ready.ramPort);
  }

  // ── the ends ──

  /**
   * The release is on its way. Nothing else is done until the destination has answered, or some milliseconds have passed: the guest stands still. Then QEMU's own figures are
   * asked for before the state is told, so that whoever reads it reads all.
   */
  #released(sent: Release): void {
    if (this.#releaseTold) return;
    this.#releaseTold = true;
    const { record } = this;
    record.mark('release sent');
    const release = this.#notice(sent);
    record.hush(hushMs);
    void (async () => {
      await within(this.#sender.answered, answerMs, undefined);
      await delay(breathMs);
      this.#host.events.emit({ kind: 'release', release });
      void this.#host.controller.reportRelease(release);
      const look = await within(
        this.#look(hangMs).catch(() => null),
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
      record.speak();
      this.#settled.resolve();
      this.#ordinary();
      await this.#save();
    })().catch(this.#logged);
  }

  #notice(release: Release): ReleaseNotice {
    const { stoppedAtMs, completedAtMs, clockOffsetMs } = this.record.report;
    return {
      ...release,
      serverId: this.move.grant.serverId,
      stoppedAtMs: stoppedAtMs ?? 0,
      completedAtMs: completedAtMs ?? 0,
      ...(stoppedAtMs !== null && clockOffsetMs !== null && { stoppedAtYoursMs: stoppedAtMs + clockOffsetMs }),
    };
  }

  /** The stream has ended and the guest is still ours. */
  #endedHere(): void {
    const ending = this.#ending ?? this.#endOfDisks();
    const { state, guestState } = endedAs(ending, this.move.grant.endState);
    if (ending) {
      this.#end(state, ending.cause, ending.detail, guestState);
      return;
    }
    void queryMigrate(this.#process.qmp, hangMs)
      .catch(() => null)
      .then((look) => this.#end(state, 'StreamFailed', look?.error || 'the stream broke', guestState));
  }

  /** Why a move with disks has ended that nobody here has ended. */
  #endOfDisks(): Ending | null {
    if (this.#mirrors === null) return null;
    const { state, qemuStatus } = this.record.report;
    if (state === 'pre-switchover' && !this.#restored)
      return { cause: 'SwitchoverTimeout', detail: 'the disks were not in step in time after the guest had stopped' };
    return this.#restored && qemuStatus === 'none'
      ? { cause: 'StreamFailed', detail: "the source's agent was restarted while the disks were copied" }
      : null;
  }

  /** What becomes of a QEMU after its release is no end of the move. */
  #lost(detail: string): void {
    if (!this.record.ended && !this.#releaseTold) this.#end('lost', 'SourceDied', detail, 'crashed');
  }

  #end(
    state: 'cancelled' | 'failed' | 'guest-gone' | 'lost',
    cause: MigrationCause,
    detail: string,
    guestState: MigrationReport['guestState'],
  ): void {
    this.record.fail(state, cause, detail, { guestState });
    this.#settled.resolve();
    void this.#cleanUp().catch(this.#logged);
    void this.#save().catch(this.#logged);
  }

  #ordinary(): void {
    for (const end of this.#precedence.splice(0)) end();
  }

  async #giveUp(error: unknown): Promise<void> {
    this.#ending ??= { cause: error instanceof GodwitError ? 'PrepareFailed' : 'StreamFailed', detail: (error as Error).message };
    await this.#feed({ kind: 'disarm', fence: this.#fence(), epoch: this.move.grant.epoch }).catch(this.#logged);
    const { state, guestState } = endedAs(this.#ending, this.move.grant.endState);
    if (!this.record.ended) this.#end(state, this.#ending.cause, this.#ending.detail, guestState);
    await this.close();
  }

  async #cleanUp(): Promise<void> {
    this.#unlisten();
    this.#ordinary();
    // A source that has released keeps them: with its QEMU they end. One that runs on needs them gone.
    if (this.record.report.state !== 'released') await this.#mirrors?.remove();
    await this.#approach.remove(this.record.report.state !== 'released');
    await removeCredentials(this.#process.qmp, credentialsId(this.move.grant.migrationId));
    if (this.record.ended && !this.#sender.sending) this.#link.close();
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
