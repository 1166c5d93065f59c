import type { HostMessage } from '@godwit/domain/custody/host-effect';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskSpec, GuestSpec } from '@godwit/domain/guest-spec';
import type { NetworkPolicy } from '@godwit/domain/network-policy';
import { removeConfigDrive } from '../config-drive/make-config-drive.ts';
import type {
  IncomingReady,
  MigrationPolicy,
  NetworkEncapsulation,
  PeerAddress,
  ReleaseAnswer,
  ReleaseNotice,
} from '../drivers/host-driver.ts';
import type { TakeAnswer } from '../drivers/migration-report.ts';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import { startQemu } from '../drivers/qemu/start-qemu.ts';
import { faultPoint } from '../fault-point.ts';
import { tlsDirectory } from '../identity/host-identity.ts';
import { removeTaps } from '../network/remove-taps.ts';
import { factNow } from '../qemu/fact-now.ts';
import { type GuestFact, standsStill } from '../qemu/guest-fact.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import { machineDevices } from '../qemu/nic-devices.ts';
import type { QmpEvent } from '../qemu/qmp-client.ts';
import { activateBacking } from './activate-backing.ts';
import { delay, within } from './deadline.ts';
import { DestinationNetwork } from './destination-network.ts';
import { closeExports, openExports } from './disk-exports.ts';
import { endBehind } from './end-behind.ts';
import { MigrationRecord } from './migration-record.ts';
import type { MigrationStore } from './migration-store.ts';
import type { MoveGrant } from './move-grant.ts';
import { queryMigrate } from './query-migrate.ts';
import { credentialsId, removeCredentials, setUpIncoming } from './stream-setup.ts';
import { streamTaken } from './stream-taken.ts';
import { breathMs } from './switch-timing.ts';
import { removeCopies } from './target-disks.ts';

export type Incoming = {
  readonly grant: MoveGrant;
  readonly spec: GuestSpec;
  /** What its ports are allowed here; null: nothing is filtered. Used by `prepare` alone. */
  readonly networkPolicy: NetworkPolicy | null;
  readonly policy: MigrationPolicy;
  readonly source: PeerAddress;
  /** Used by `prepare` alone, once the grant is durable and before anything of the guest is made here: no order from before is obeyed any more, and what one has begun ends first. */
  readonly granted?: () => Promise<void>;
  /** Makes the disks that the source will fill, once the grant is durable; answers which of them lie on what is here already. Absent: no disk is copied. */
  readonly makeDisks?: () => Promise<readonly string[]>;
};

/** How long a source waits for the answer to its release; a little less, so that it hears ours. */
const takeWithinMs = 2_500;
/** A guest that does not survive its arrival dies at its first instructions, or QEMU at its first device access. */
const arrivalWatchMs = 60;
const aliveMs = 1_000;
/** Frames of the last instant before the stop may have been left unread at the source; what its guest did read comes twice. */
const beforeStopMs = 20;
/** A guest that has stood still gets its processors first for a moment: it has frames waiting, and under TCG all its code to translate again. */
const favouredMs = 250;
/** How long a release may be on its way, by the two hosts' clocks. */
const slowestWordMs = 1_000;
/** From the load to the answer of the take nobody is told of steps. */
const hushMs = 100;
/** Frames that still take the way over the source are let in for this long after the take. */
const lateFramesMs = 3_000;

/**
 * One move to this host: the QEMU that waits for the stream, the network at its door, the take, and the proof that the guest lives here. Custody decides and acts (grant, take, forfeit).
 */
export class IncomingMigration {
  readonly record: MigrationRecord;
  readonly move: Incoming;
  readonly #host: QemuHost;
  readonly #store: MigrationStore;
  readonly #network: DestinationNetwork;
  #process: GuestProcess | null = null;
  #ready: IncomingReady | null = null;
  #unlisten: () => void = () => undefined;
  #resumedAt: number | null = null;
  /** When the source's guest stopped, by performance.now() here. */
  #stoppedAt: number | null = null;
  #finished = false;
  #gaveBack = false;
  #tunnels: Promise<void> = Promise.resolve();
  #cleared: Promise<void> = Promise.resolve();
  #exports: Promise<void> | null = null;
  /** What this move has been given precedence by. */
  readonly #precedence: (() => void)[] = [];
  readonly #settled = Promise.withResolvers<void>();

  constructor(
    host: QemuHost,
    store: MigrationStore,
    move: Incoming,
    restored?: { readonly record: MigrationRecord; readonly ready: IncomingReady | null; readonly process: GuestProcess | null },
  ) {
    this.#host = host;
    this.#store = store;
    this.move = move;
    this.record = restored?.record ?? new MigrationRecord(move.grant, 'destination', 'preparing', host.events, () => host.clock.nowMs());
    this.#network = new DestinationNetwork(host.tools, move.grant.migrationId, move.spec.nics, host.config.bridge);
    this.#ready = restored?.ready ?? null;
    for (const port of this.#ports) host.ports.hold(port);
    if (restored?.process) {
      this.#adopt(restored.process);
      // What arrived while no agent looked.
      if (!this.record.ended && this.#copies.length > 0) void this.#lookForArrival(restored.process).catch(this.#logged);
    }
    if (this.record.ended) this.#settled.resolve();
  }

  /** Resolves when it is decided whether the guest runs here. */
  get settled(): Promise<void> {
    return this.#settled.promise;
  }

  get ready(): IncomingReady | null {
    return this.#ready;
  }

  /**
   * Makes the grant durable, starts QEMU and lets it listen. When it throws, nothing of the move is left on this host and the grant is forfeited: the controller needs a new
   * epoch to try again.
   */
  async prepare(): Promise<IncomingReady> {
    const { record, move } = this;
    const { grant, spec } = move;
    const startedAt = performance.now();
    const stream = streamTaken(this.#host, move.policy);
    let port: number | null = null;
    try {
      this.#host.clock.anchor();
      this.#precedence.push(this.#host.precedence.ofAgent());
      // First: of a grant that is refused, as by a host that has booted since, nothing may be here that nobody forfeits.
      await this.#feed({ kind: 'grant', fence: grant.fence, grant });
      await move.granted?.();
      const made = await Promise.allSettled([
        this.#network.makeTaps(!move.policy.networkSwitch),
        // Long before the guest runs here, so that the switchover need not wait for it.
        this.#host.networks.admit(spec.nics, move.networkPolicy),
      ]);
      // Both have come to their end: what is made after the forfeit would stay.
      for (const one of made) if (one.status === 'rejected') throw one.reason;
      record.mark('granted durably, taps made');
      await faultPoint('destination.granted');
      let overlayDiskIds: readonly string[] = [];
      if (move.makeDisks) {
        // Written before they are there: whoever takes over finds what to delete.
        await this.#save();
        overlayDiskIds = await move.makeDisks();
        record.mark('disks made', this.#copies.map(({ id }) => id).join(', '));
        await faultPoint('destination.disks-made');
      }
      const process = await startQemu(this.#host, spec, grant.epoch, true);
      this.#adopt(process);
      record.mark('QEMU started', `${Math.round(process.readyMs)} ms`);
      await faultPoint('destination.started');
      // As late as can be: until QEMU listens there, anybody may be given it.
      port = await this.#host.ports.takeFree(this.#host.config.managementAddress);
      await setUpIncoming(process.qmp, {
        migrationId: grant.migrationId,
        tlsDir: tlsDirectory(this.#host.config.stateDir),
        plain: this.#host.config.memoryStreamTls === false,
        stream: stream.used,
        address: this.#host.config.managementAddress,
        port,
      });
      // Best effort: a QEMU that cannot opens them in its turn.
      await activateBacking(process.qmp, spec.disks).catch((error: unknown) =>
        record.mark('backing images not opened ahead', (error as Error).message),
      );
      const nbdPort = await this.#openExports(process);
      const ready: IncomingReady = {
        migrationId: grant.migrationId,
        ramAddress: this.#host.config.managementAddress,
        ramPort: port,
        nbdPort,
        overlayDiskIds,
        nbdPlain: this.#host.config.diskStreamTls === false,
        ramPlain: this.#host.config.memoryStreamTls === false,
        machineType: spec.machineType,
        cpuModel: spec.cpuModel,
        preparedMs: performance.now() - startedAt,
        devices: machineDevices(spec),
        stream,
      };
      this.#ready = ready;
      record.become('listening');
      void this.#host.dhcp?.serve(spec.nics).catch(this.#logged);
      if (move.policy.networkSwitch) this.#tunnels = this.#makeTunnels();
      void this.#save().catch(this.#logged);
      await faultPoint('destination.listening');
      return ready;
    } catch (error) {
      record.mark('prepare failed', (error as Error).message);
      if (this.#ready === null && port !== null) this.#host.ports.giveBack(port);
      // A monitor that hung up is no reason: the end of its process is, and the forfeit would be another.
      const end = this.#process && (await endBehind(error, this.#process));
      await this.forfeit(grant.fence, grant.bootId).catch(this.#logged);
      throw end === null ? error : new GodwitError('GuestStartFailed', `QEMU of server ${spec.serverId}: ${end}`, {}, { cause: error });
    }
  }

  /** The source's word, from itself or relayed. Answers once the guest is taken here, or cannot be. */
  async release(notice: ReleaseNotice): Promise<ReleaseAnswer> {
    const { record } = this;
    const point = faultPoint('destination.release-heard');
    if (point) await point;
    record.mark('release heard');
    // By our clock too: on a busy host the word takes its time from the source to here, and what came for the guest meanwhile must not count as long before the stop.
    const { sinceStopMs, stoppedAtYoursMs } = notice;
    const byOurClockMs = stoppedAtYoursMs === undefined ? 0 : this.#host.clock.nowMs() - stoppedAtYoursMs;
    // A clock that was set meanwhile must not make more of it than a slow word can.
    if (sinceStopMs !== undefined)
      this.#stoppedAt ??= performance.now() - Math.max(sinceStopMs, Math.min(byOurClockMs, sinceStopMs + slowestWordMs));
    // The take lets the guest run: nobody else may write to its disks then.
    await this.#exports;
    const { migrationId, source, destination, epoch } = notice;
    await this.#feed({ kind: 'release', release: { migrationId, source, destination, epoch } });
    if (record.report.taken === null) await within(this.#settled.promise, takeWithinMs, undefined);
    const taken = record.report.taken ?? 'unknown';
    return { answer: taken, detail: record.report.detail, resumedAtMs: record.report.resumedAtMs };
  }

  /** Gives the move up on this side, if custody finds that nothing was taken. `bootId` is that of the grant. */
  async forfeit(fence: MoveGrant['fence'], bootId: MoveGrant['bootId']): Promise<TakeAnswer> {
    await this.#feed({ kind: 'forfeit', fence, epoch: this.move.grant.epoch, bootId });
    await this.#cleared;
    return this.record.report.taken ?? 'unknown';
  }

  /** After news of a forfeit: resolves once nothing of the move is left on this host. */
  get cleared(): Promise<void> {
    return this.#cleared;
  }

  async setNetworkOpen(open: boolean, busyPorts: readonly number[]): Promise<NetworkEncapsulation | null> {
    await this.#tunnels;
    const { ports, config } = this.#host;
    const encapsulation = await this.#network.receive(ports, config.managementAddress, this.move.source.address, busyPorts);
    if (open) {
      await this.#network.open();
      this.record.mark('network open');
      this.#favour();
    } else if (this.record.report.taken === null) await this.#network.close();
    return encapsulation;
  }

  /**
   * After the take: announces the guest's addresses again, verifies that this host's bridge leads to it, and watches its first moments. The report says what was seen; a guest
   * that is dead on arrival is named by cause.
   */
  async finish(): Promise<void> {
    const { record } = this;
    if (record.report.state !== 'running' && record.report.taken !== 'took-dead')
      throw new GodwitError('InvalidMigrationState', `the guest has not been taken here: the move is ${record.report.state}`);
    const point = faultPoint('destination.finishing');
    if (point) await point;
    const alive = (): boolean => this.#host.guests.process(this.move.grant.serverId) !== null;
    if (alive()) await this.#process?.qmp.execute('announce-self', { initial: 50, max: 550, rounds: 5, step: 100 }).catch(this.#logged);
    const verified = alive() && (await this.#network.verify(this.move.grant.endState === 'running', 1_000).catch(() => false));
    // Often the watch's time is over already: the controller asks when it has written the take.
    if (this.#resumedAt !== null) await delay(Math.max(0, arrivalWatchMs - (performance.now() - this.#resumedAt)));
    await this.#proveAlive();
    if (!alive()) await removeTaps(this.#host, this.move.spec.nics);
    this.#finished = true;
    record.note({ networkVerified: verified });
    record.mark(verified ? 'network verified' : 'network not verified');
    record.tell();
    setTimeout(() => void this.#tidy().catch(this.#logged), lateFramesMs).unref();
    await this.#save();
  }

  /** Custody's news about this move. */
  heard(message: HostMessage): void {
    const { record, move } = this;
    if (!('epoch' in message) || message.epoch !== move.grant.epoch) return;
    switch (message.kind) {
      case 'took':
        this.#took(message.alive);
        return;
      case 'forfeited':
        record.note({ taken: 'has-not-and-forfeits' });
        record.become('forfeited');
        this.#settled.resolve();
        this.#cleared = this.#discarded().catch(this.#logged);
        return;
      case 'unknown':
        record.note({ taken: 'unknown' });
        this.#settled.resolve();
        return;
      default:
        return;
    }
  }

  /** A fact about the guest here. */
  guestIs(fact: GuestFact): void {
    const { record, move } = this;
    const dead =
      fact.kind === 'died'
        ? fact.cause
        : fact.kind === 'panicked'
          ? `the guest's kernel panicked (${fact.detail})`
          : fact.kind === 'broken'
            ? fact.detail
            : null;
    if (record.report.state === 'running' && fact.kind === 'io-error') {
      // Whether it arrived so or found no room here.
      if (!this.#finished && record.report.cause === null) record.blame('GuestDiskError', standsStill(fact), { guestState: 'io-error' });
      return;
    }
    if (record.report.state === 'running') {
      // Until the move is finished a death is the move's; later ones are the guest's own.
      if (dead !== null && !this.#finished && record.report.cause === null)
        record.blame('GuestCrashedOnArrival', dead, {
          guestState: 'crashed',
          ...(fact.kind === 'died' && { taken: 'took-dead' as const }),
        });
      return;
    }
    if (fact.kind === 'died' && !record.ended) {
      // Not yet forfeited: custody learns that the process is gone, and the controller orders what follows.
      record.fail('died', 'DestinationDied', `the destination's QEMU died before it had the guest: ${fact.cause}`, {
        guestState: 'crashed',
      });
      this.#settled.resolve();
      void this.#host.custody.feed(move.grant.serverId, { kind: 'observed' }).catch(this.#logged);
      void this.#save().catch(this.#logged);
    }
  }

  close(): void {
    this.#unlisten();
    this.#ordinary();
  }

  /** Lets go of everything of this move on this host; the guest, wherever it is, is not touched. */
  async leave(): Promise<void> {
    this.close();
    // A move that is finished tidies up by itself when no late frame comes any more.
    if (!this.#finished) await this.#tidy();
  }

  /** A last look: a QEMU that has just died may not have been noticed yet, and of a guest that has arrived standing still QEMU tells nothing. */
  async #proveAlive(): Promise<void> {
    const process = this.#process;
    if (process === null) return;
    try {
      const fact = await factNow(process.qmp, { timeoutMs: aliveMs });
      if (fact?.kind !== 'io-error') return;
      this.#host.guests.saw(this.move.grant.serverId, fact);
      this.guestIs(fact);
    } catch {
      // Its death is told by itself, and the fact reaches `guestIs` before this goes on; one that only hangs is reported as it is.
      await within(process.ended, aliveMs, undefined);
      await delay(1);
    }
  }

  /** Behind the answer to the controller: the source asks for them after its stream has begun. */
  async #makeTunnels(): Promise<void> {
    try {
      await this.#network.makeTunnels(this.#host.config.managementAddress, this.move.source.address);
    } catch (error) {
      this.record.mark('no frame mirror', (error as Error).message);
    }
  }

  #adopt(process: GuestProcess): void {
    this.#process = process;
    this.#unlisten = process.qmp.on((event: QmpEvent) => {
      const at = this.#host.clock.ofStamp(event.timestampMs);
      const { record } = this;
      if (event.event === 'RESUME') {
        this.#resumedAt ??= performance.now();
        if (record.report.resumedAtMs === null) record.note({ resumedAtMs: at });
        record.mark('RESUME', '', at);
      } else if (event.event === 'MIGRATION') {
        const status = String(event.data['status']);
        record.mark(`QEMU ${status}`, '', at);
        record.note({ qemuStatus: status });
        if (status !== 'completed') return;
        this.#arrived(process);
      }
    });
  }

  /** The guest is here, stopped: the source has ended its mirrors before, so nobody writes to the disks any more. */
  #arrived(process: GuestProcess): void {
    this.#favour();
    this.record.hush(hushMs);
    if (this.record.report.taken === null) this.record.become('loaded');
    if (this.#copies.length > 0) this.#exports ??= this.#closeExports(process);
    // A release that came before the load was complete is waiting for this look.
    const observe = (): Promise<void> => this.#feed({ kind: 'observed' });
    void (this.#exports?.then(observe) ?? observe()).catch(this.#logged);
  }

  /** Never rejects: the source's mirrors have ended, and a server that lingers must not keep the guest from running. */
  async #closeExports(process: GuestProcess): Promise<void> {
    await closeExports(process.qmp).then(
      () => this.record.mark('exports closed'),
      (error: unknown) => this.record.mark('exports not closed', (error as Error).message),
    );
  }

  async #lookForArrival(process: GuestProcess): Promise<void> {
    const { status } = await queryMigrate(process.qmp, aliveMs);
    if (status === 'completed') this.#arrived(process);
  }

  /** The port that the disks are written through; 0: no disk is copied. */
  async #openExports(process: GuestProcess): Promise<number> {
    const copies = this.#copies;
    const { config, ports } = this.#host;
    const { grant } = this.move;
    if (copies.length === 0 || grant.source === null) return 0;
    const port = await ports.takeFree(config.managementAddress);
    try {
      await openExports(
        process.qmp,
        copies.map(({ id }) => ({ index: this.move.spec.disks.findIndex((disk) => disk.id === id), diskId: id })),
        {
          address: config.managementAddress,
          port,
          source: grant.source,
          credentials: config.diskStreamTls === false ? null : credentialsId(grant.migrationId),
        },
      );
    } catch (error) {
      ports.giveBack(port);
      throw error;
    }
    this.record.mark('disks exported', config.diskStreamTls === false ? 'without TLS' : 'TLS');
    return port;
  }

  /** The disks of this move that are made here and filled by the source. */
  get #copies(): readonly DiskSpec[] {
    const { spec, policy } = this.move;
    return policy.blockMigration ? spec.disks.filter(({ id }) => policy.localDiskIds.includes(id)) : [];
  }

  get #ports(): readonly number[] {
    const { ramPort = 0, nbdPort = 0 } = this.#ready ?? {};
    return [ramPort, nbdPort].filter((port) => port !== 0);
  }

  #took(alive: boolean): void {
    const { record, move } = this;
    if (record.report.taken !== null) return;
    const paused = move.grant.endState === 'paused';
    if (paused) this.#resumedAt ??= performance.now();
    record.note({ taken: alive ? 'took-alive' : 'took-dead', ...(paused && { resumedAtMs: this.#host.clock.nowMs() }) });
    record.hush(breathMs, 'everything');
    record.become('running', { guestState: alive ? (paused ? 'paused' : 'running') : 'crashed' });
    this.#network.letIn(this.#stoppedAt === null ? 0 : this.#stoppedAt - beforeStopMs);
    this.#settled.resolve();
    setTimeout(() => this.#ordinary(), favouredMs).unref();
    void faultPoint('destination.taken');
    setTimeout(() => {
      if (this.#host.guests.process(move.grant.serverId)) this.#host.guests.tell(move.grant.serverId);
    }, breathMs).unref();
    void this.#save().catch(this.#logged);
  }

  /** After a forfeit: the process is dead, and nothing else of the move stays. */
  async #discarded(): Promise<void> {
    this.#unlisten();
    this.#ordinary();
    this.#givePortsBack();
    await this.#tunnels;
    await this.#network.remove();
    await this.#host.dhcp?.stop(this.move.spec.nics);
    await this.#host.networks.leave(this.move.spec.nics);
    await removeCopies(this.#copies);
    await removeConfigDrive(this.#host.config.stateDir, this.move.grant.serverId);
    this.#host.guests.forget(this.move.grant.serverId);
    await this.#save();
  }

  /** The stop is near, or has been. */
  #favour(): void {
    if (this.#process) this.#precedence.push(this.#host.precedence.ofGuest(this.#process.ref.pid));
  }

  #ordinary(): void {
    for (const end of this.#precedence.splice(0)) end();
  }

  async #tidy(): Promise<void> {
    await this.#tunnels;
    await this.#network.removeTunnels();
    this.#givePortsBack();
    // By its id: what is known of the process is replaced when an interface comes or goes.
    const now = this.#host.guests.process(this.move.grant.serverId);
    if (this.#process && now?.ref.pid === this.#process.ref.pid) {
      if (this.#copies.length > 0) await closeExports(this.#process.qmp);
      await removeCredentials(this.#process.qmp, credentialsId(this.move.grant.migrationId));
    }
    this.#unlisten();
  }

  /** Once: afterwards they may be another move's. */
  #givePortsBack(): void {
    if (this.#gaveBack) return;
    this.#gaveBack = true;
    for (const port of this.#ports) this.#host.ports.giveBack(port);
  }

  async #feed(event: Parameters<QemuHost['custody']['feed']>[1]): Promise<void> {
    for (const message of await this.#host.custody.feed(this.move.grant.serverId, event)) this.heard(message);
  }

  async #save(): Promise<void> {
    const { grant, policy, source } = this.move;
    await this.#store.write({
      role: 'destination',
      grant,
      peer: source,
      policy,
      ready: this.#ready,
      udpPort: null,
      copies: this.#copies,
      report: this.record.report,
    });
  }

  readonly #logged = (error: unknown): void =>
    this.#host.log.warn({ err: error, migrationId: this.move.grant.migrationId }, 'a step of an incoming move failed');
}
