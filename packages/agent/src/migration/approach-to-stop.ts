import type { MigrationPolicy } from '../drivers/host-driver.ts';
import type { RamProgress } from '../drivers/migration-report.ts';
import type { QemuHost } from '../drivers/qemu/qemu-host.ts';
import type { GuestProcess } from '../qemu/guest-process.ts';
import type { MigrationRecord } from './migration-record.ts';
import type { Outgoing } from './outgoing.ts';
import type { PeerLink } from './peer-link.ts';
import { PeerWatch } from './peer-watch.ts';
import { SourceNetwork } from './source-network.ts';
import { anyDowntimeMs, setLimits } from './stream-setup.ts';
import { eagerDowntimeLimitMs, eagerForMs, holdDowntimeLimitMs, stopIsNear } from './switch-timing.ts';

/** Readings of the destination's clock; the best one counts. On a LAN each takes well under a millisecond. */
const clockReadings = 8;
const clockEveryMs = 1_000;
/** QEMU is told of a stream that carries this much more or less than it was told of last, as a logarithm. */
const worthTelling = 0.15;

/**
 * What has to be ready on both sides when QEMU stops the guest, made while the copy runs: the destination's clock, the frame mirror, and the downtime limit that keeps
 * QEMU from stopping before them. None of it can fail the move: without the mirror the frames of the blackout are lost, as in any other system, and the record says so.
 */
export class ApproachToStop {
  readonly #host: QemuHost;
  readonly #process: GuestProcess;
  readonly #move: Outgoing;
  readonly #record: MigrationRecord;
  readonly #link: PeerLink;
  readonly #network: SourceNetwork;
  #policy: MigrationPolicy;
  #clockReadAtMs = 0;
  #stopped = false;
  #eager = true;
  #patience: NodeJS.Timeout | null = null;
  #held = false;
  #carriedLast = false;
  #factor = 1;
  /** Null: not known what an earlier agent has told QEMU. */
  #toldFactor: number | null;
  /** From the first look on: before, disks may have been copied for long. */
  #peer: PeerWatch | null = null;

  constructor(host: QemuHost, process: GuestProcess, move: Outgoing, record: MigrationRecord, link: PeerLink, restored: boolean) {
    this.#host = host;
    this.#process = process;
    this.#move = move;
    this.#record = record;
    this.#link = link;
    this.#policy = move.policy;
    this.#toldFactor = restored && move.ready.stream?.used === 'zstd' ? null : 1;
    this.#network = new SourceNetwork(
      host.tools,
      move.grant.migrationId,
      process.spec.nics,
      host.config.managementAddress,
      move.policy.networkSwitch,
      restored,
    );
  }

  /**
   * Until the mirror is open, and while the destination's agent does not answer, QEMU is asked to prefer another short round to stopping; then, for a moment, to stop only with
   * little left.
   */
  get downtimeLimitMs(): number {
    if (this.#network.pending || this.#held) return Math.min(holdDowntimeLimitMs, this.#policy.downtimeLimitMs);
    const wantedMs = Math.min(this.#eager ? eagerDowntimeLimitMs : Number.POSITIVE_INFINITY, this.#policy.downtimeLimitMs);
    return Math.min(anyDowntimeMs, Math.round(wantedMs * this.#factor));
  }

  /**
   * QEMU takes its limit times the speed on the wire for what a stop may leave: where a byte on the wire carries more of memory, it would go on copying what could be sent in a fraction of the
   * limit. So it is given as much more.
   */
  carries(memoryPerByte: number): void {
    this.#factor = memoryPerByte;
    if (this.#stopped || this.#record.ended) return;
    if (this.#toldFactor !== null && Math.abs(Math.log(this.#factor / this.#toldFactor)) < worthTelling) return;
    void this.#tellLimits().catch(this.#logged);
  }

  async setPolicy(policy: MigrationPolicy): Promise<void> {
    this.#policy = policy;
    if (!this.#record.ended) await this.#tellLimits();
  }

  /** Behind the running copy: the destination's clock, and the tunnels of the frame mirror. Done long before the stop, or the stop is held back. */
  async meetPeer(): Promise<void> {
    try {
      const { migrationId } = this.#move.grant;
      const encapsulation = this.#policy.networkSwitch ? await this.#link.setNetworkOpen(migrationId, false, this.#host.ports.taken) : null;
      if (encapsulation) await this.#network.prepare(encapsulation);
      else await this.#withoutMirror('the destination has none');
      await this.#carryFlows();
      await this.#readClock();
    } catch (error) {
      await this.#withoutMirror((error as Error).message);
    }
  }

  /**
   * One look at the running copy. Nothing is waited for: a dead link must not keep anybody from seeing that it is dead. The clock also keeps the connection warm: an idle
   * one would first be pinged, inside the blackout.
   */
  seen(ram: RamProgress | null, elapsedMs: number): void {
    if (performance.now() - this.#clockReadAtMs > clockEveryMs) void this.#readClock().catch(() => undefined);
    this.#holdForPeer();
    if (!stopIsNear(ram, elapsedMs)) return;
    if (!this.#carriedLast) {
      this.#carriedLast = true;
      void this.#carryFlows();
    }
    if (this.#network.pending) void this.#open('the stop is near').catch(this.#logged);
    else this.#endEagernessLater();
  }

  /** The destination's agent has not answered for so long that the move must not go on: its guest would arrive where nobody takes it. */
  get peerGone(): boolean {
    return this.#peer?.state(performance.now()) === 'gone';
  }

  #holdForPeer(): void {
    this.#peer ??= new PeerWatch(performance.now());
    const hold = this.#peer.state(performance.now()) !== 'here';
    if (hold === this.#held) return;
    this.#held = hold;
    this.#record.mark(hold ? 'destination silent' : 'destination heard again', hold ? 'the stop is held back' : '');
    void this.#tellLimits().catch(this.#logged);
  }

  /** QEMU has stopped the guest: whatever is not open yet is opened now. */
  stopped(): void {
    this.#stopped = true;
    void this.#open('late: QEMU stopped first').catch(this.#logged);
  }

  /** The guest runs here again: its frames go nowhere else. */
  undo(): void {
    void this.#network.undo().catch(this.#logged);
  }

  /** Takes away what this host has of the mirror; with `tellPeer` the destination's side is closed too. */
  async remove(tellPeer: boolean): Promise<void> {
    if (this.#patience) clearTimeout(this.#patience);
    await this.#network.remove().catch(this.#logged);
    if (this.#network.wasOpen && tellPeer)
      await this.#link.setNetworkOpen(this.#move.grant.migrationId, false, this.#host.ports.taken).catch(() => undefined);
  }

  /** The best of all readings so far; later ones are nearer to the stop, and clocks drift. */
  async #readClock(): Promise<void> {
    this.#clockReadAtMs = performance.now();
    const offset = await this.#link.clock(() => this.#host.clock.nowMs(), clockReadings);
    this.#peer?.heard(performance.now());
    this.#record.note({ clockOffsetMs: offset.offsetMs, clockErrorMs: offset.errorMs });
  }

  #endEagernessLater(): void {
    if (this.#patience) return;
    this.#patience = setTimeout(() => {
      this.#eager = false;
      if (!this.#stopped && !this.#record.ended) void this.#tellLimits().catch(this.#logged);
    }, eagerForMs).unref();
  }

  /** The guest's connections, for the taps at the destination. One that it does not get to know it enters at the guest's next packet; so a failure is no reason to stay. */
  async #carryFlows(): Promise<void> {
    try {
      const flows = await this.#host.networks.flows(this.#process.spec.nics);
      if (Object.keys(flows).length > 0) await this.#link.carryFlows(this.#move.grant.migrationId, flows);
    } catch (error) {
      this.#record.mark('connections not carried', (error as Error).message);
    }
  }

  async #tellLimits(): Promise<void> {
    this.#toldFactor = this.#factor;
    await setLimits(this.#process.qmp, this.#policy, this.downtimeLimitMs);
  }

  async #withoutMirror(why: string): Promise<void> {
    if (!this.#network.giveUp()) return;
    this.#record.mark('no frame mirror', why);
    await this.#tellLimits().catch(this.#logged);
  }

  async #open(why: string): Promise<void> {
    if (!this.#network.begin()) return;
    try {
      await Promise.all([this.#link.setNetworkOpen(this.#move.grant.migrationId, true, this.#host.ports.taken), this.#network.open()]);
      this.#record.mark('network open at both', why);
      this.#endEagernessLater();
      await this.#tellLimits();
      if (!this.#stopped) await this.#readClock();
    } catch (error) {
      await this.#withoutMirror((error as Error).message);
    }
  }

  readonly #logged = (error: unknown): void =>
    this.#host.log.warn({ err: error, migrationId: this.#move.grant.migrationId }, 'a step of an outgoing move failed');
}
