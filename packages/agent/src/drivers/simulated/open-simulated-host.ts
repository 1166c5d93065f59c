import { randomBytes } from 'node:crypto';
import { join } from 'node:path';
import type { AgentConfig } from '@godwit/contract/config/agent-config';
import type { Grant } from '@godwit/domain/custody/grant';
import type { Copy } from '@godwit/domain/custody/host-custody';
import type { HostMessage, PeerMessage } from '@godwit/domain/custody/host-effect';
import { GodwitError } from '@godwit/domain/errors';
import { memoryOf } from '@godwit/domain/guest-memory';
import { type GuestTime, noAnswer } from '@godwit/domain/guest-time';
import type { HostFacts } from '@godwit/domain/host';
import type { BootId, HostId, MigrationId, ServerId } from '@godwit/domain/ids';
import type { MigrationCause } from '@godwit/domain/migration';
import { type CustodyInput, type Gate, openGate } from '../../custody/gate.ts';
import { openJournal } from '../../custody/journal.ts';
import type { CurrentIdentity } from '../../host-agent.ts';
import { delay } from '../../migration/deadline.ts';
import { MigrationRecord } from '../../migration/migration-record.ts';
import { openPeerLink } from '../../migration/peer-link.ts';
import { memoryRefusal } from '../../qemu/memory-device.ts';
import { growthRefusal } from '../../qemu/vcpu-devices.ts';
import { openControllerLink } from '../../rpc/controller-link.ts';
import type { DiskChunk } from '../../storage/disk-stream.ts';
import { WallClock } from '../../wall-clock.ts';
import { demandOurs } from '../demand-ours.ts';
import type { GuestConsoles } from '../guest-consoles.ts';
import type { GuestReport, GuestState } from '../guest-report.ts';
import type {
  Authority,
  DirtyReport,
  HostDriver,
  IncomingReady,
  MigrationPolicy,
  PeerAddress,
  ReleaseAnswer,
  ReleaseNotice,
} from '../host-driver.ts';
import { HostEvents } from '../host-events.ts';
import type { MigrationReport, TakeAnswer } from '../migration-report.ts';
import type { WantedDisk, WantedGuest } from '../wanted-guest.ts';
import { emptyQcow2 } from './empty-qcow2.ts';
import { simulatedConsoles } from './simulated-consoles.ts';
import { simulatedCopy } from './simulated-copy.ts';
import { type SimulatedGuest, SimulatedGuests } from './simulated-guests.ts';
import { SimulatedQemu } from './simulated-qemu.ts';
import { type SimulatedTimings, simulatedTimings } from './simulated-timings.ts';

export type SimulatedHost = NonNullable<AgentConfig['simulatedHosts']>[number];

export type SimulatedHostOptions = {
  readonly host: SimulatedHost;
  readonly stateDir: string;
  readonly identity: CurrentIdentity;
  readonly bootId: BootId;
  readonly controllerUrl: string;
  readonly timings?: SimulatedTimings;
};

const startedAtMs = Date.now();
const machineType = 'pc-q35-10.0';

/** What a simulated host says of itself. */
export const simulatedFacts = (host: SimulatedHost): HostFacts => ({
  hypervisorType: host.hypervisorType,
  qemuVersion: host.hypervisorType === 'ironic' ? '' : '10.0.2',
  accelerator: host.hypervisorType === 'ironic' ? 'none' : 'simulated',
  acceleratorReason: 'simulated host',
  cpuModel: 'simulated',
  cpuFeatures: [],
  machineTypes: host.hypervisorType === 'ironic' ? [] : [machineType],
  cores: host.cores,
  ramMib: host.ramMib,
  kernel: 'simulated',
  bootedAtMs: startedAtMs,
  load: [0, 0, 0],
  // All simulated hosts see one shared pool, and each has a local one.
  pools: ['shared', 'local'].map((kind) => ({
    name: kind,
    poolId: kind === 'shared' ? 'simulated-shared' : `simulated-${host.name}`,
    kind: kind as 'shared' | 'local',
    totalBytes: host.diskGib * 1_073_741_824,
    freeBytes: host.diskGib * 1_073_741_824,
  })),
  bridges: ['simulated'],
  vlans: true,
  selfTest: [],
  suspends: host.hypervisorType !== 'ironic',
  agentVersion: '0.1.0',
});

/** Simulated hosts that this process plays: a release between two of them takes no network. */
const played = new Map<HostId, HostDriver>();

type SimulatedMove = {
  readonly record: MigrationRecord;
  readonly grant: Grant;
  readonly ready: IncomingReady | null;
  readonly peer: PeerAddress;
  cause: MigrationCause | null;
  why?: string;
};

/**
 * A host without QEMU: the same port, the same custody (journal and gate included), and guests that are state machines with settable timings. A host of type `ironic` starts and stops
 * guests, and refuses every move.
 */
export async function openSimulatedHost(options: SimulatedHostOptions): Promise<HostDriver> {
  const host = new SimulatedDriver(options);
  await host.open();
  played.set(host.hostId, host);
  return host;
}

class SimulatedDriver implements HostDriver {
  readonly hostId: HostId;
  readonly bootId: BootId;
  readonly events: HostEvents;
  readonly consoles: GuestConsoles;
  readonly #options: SimulatedHostOptions;
  readonly #timings: SimulatedTimings;
  readonly #clock = new WallClock();
  readonly #guests: SimulatedGuests;
  readonly #gate: Gate;
  readonly #journal: ReturnType<typeof openJournal>;
  readonly #controller: ReturnType<typeof openControllerLink>;
  readonly #moves = new Map<MigrationId, SimulatedMove>();
  #closed = false;

  constructor(options: SimulatedHostOptions) {
    this.#options = options;
    this.#timings = options.timings ?? simulatedTimings();
    this.hostId = options.identity.current.hostId;
    this.bootId = options.bootId;
    this.events = new HostEvents(() => this.nowMs());
    this.#guests = new SimulatedGuests(options.stateDir, options.bootId);
    this.consoles = simulatedConsoles((serverId) => this.#guests.get(serverId) !== undefined);
    this.#journal = openJournal({ path: join(options.stateDir, 'custody', 'journal'), hostId: this.hostId, bootId: options.bootId });
    this.#controller = openControllerLink(options.controllerUrl, options.identity);
    this.#gate = openGate({
      bootId: options.bootId,
      journal: this.#journal,
      migrateArguments: (serverId, epoch) => ({ to: this.#streamOf(serverId, epoch) }),
      // A simulated memory is durable as soon as it is there, and as little as the guest itself.
      memory: { saveArguments: (_, epoch) => ({ memory: epoch }), sync: () => Promise.resolve() },
      send: (serverId, to, message) => void this.#send(serverId, to, message),
      news: (serverId, message) => this.#heard(serverId, message),
    });
  }

  async open(): Promise<void> {
    await this.#guests.load(this.#timings, (serverId, guest) => this.#watch(serverId, guest));
    for (const serverId of this.#gate.servers())
      for (const message of await this.#gate.feed(serverId, { kind: 'adopt' })) this.#heard(serverId, message);
  }

  nowMs(): number {
    return this.#clock.nowMs();
  }

  facts(): Promise<HostFacts> {
    return Promise.resolve(simulatedFacts(this.#options.host));
  }

  guests(): Promise<readonly GuestReport[]> {
    const held = this.#gate.servers().filter((serverId) => this.#gate.state(serverId).copy.kind !== 'none');
    return Promise.resolve([...new Set([...held, ...this.#guests.servers()])].map((serverId) => this.#report(serverId)));
  }

  migrations(): readonly MigrationReport[] {
    return [...this.#moves.values()].map(({ record }) => record.report);
  }

  // ── guests ──

  async startGuest(grant: Grant, wanted: WantedGuest): Promise<GuestReport> {
    const { serverId } = wanted;
    const granted = await this.#feed(serverId, { kind: 'grant', fence: grant.fence, grant });
    if (granted.some((message) => message.kind === 'took')) return this.#report(serverId);
    try {
      await delay(this.#timings.diskCreateMs + this.#timings.qemuStartMs);
      if (Math.random() < this.#timings.failureRate) throw new GodwitError('GuestStartFailed', 'the simulated guest did not start');
      if (grant.memory === undefined) await this.#spawn(grant, wanted, 'prelaunch', null);
      else await (await this.#spawn(grant, wanted, 'inmigrate', null)).load();
      await this.#feed(serverId, { kind: 'launch', fence: grant.fence, epoch: grant.epoch });
    } catch (error) {
      await this.#feed(serverId, { kind: 'forfeit', fence: grant.fence, epoch: grant.epoch, bootId: grant.bootId }).catch(() => []);
      throw error;
    }
    return this.#told(serverId);
  }

  async stopGuest({ serverId, fence, epoch }: Authority, timeoutMs: number): Promise<GuestReport> {
    const guest = this.#guests.get(serverId);
    if (guest?.qemu.runstate === 'running' && timeoutMs > 0) {
      await this.#feed(serverId, { kind: 'powerDown', fence, epoch });
      for (const until = performance.now() + timeoutMs; guest.qemu.runstate === 'running' && performance.now() < until; ) await delay(10);
    }
    await this.#feed(serverId, { kind: 'powerOff', fence, epoch });
    this.#guests.save();
    return this.#told(serverId);
  }

  async pauseGuest({ serverId, fence, epoch }: Authority): Promise<GuestReport> {
    await this.#feed(serverId, { kind: 'pause', fence, epoch });
    return this.#told(serverId);
  }

  async unpauseGuest({ serverId, fence, epoch }: Authority): Promise<GuestReport> {
    await this.#feed(serverId, { kind: 'unpause', fence, epoch });
    return this.#told(serverId);
  }

  async suspendGuest(authority: Authority, vcpus: number | null): Promise<GuestReport> {
    const { serverId, fence, epoch } = authority;
    if (this.#options.host.hypervisorType === 'ironic')
      throw new GodwitError('SuspendUnsupported', 'the memory of a bare metal instance cannot be saved');
    const scalable = this.#guests.get(serverId)?.wanted.maxVcpus !== undefined && this.#gate.state(serverId).copy.kind === 'held';
    if (vcpus !== null && scalable) await this.scaleGuest(authority, { vcpus });
    await this.#feed(serverId, { kind: 'suspend', fence, epoch });
    for (;;) {
      const { copy } = this.#gate.state(serverId);
      if (copy.kind === 'suspended') return this.#told(serverId);
      if (copy.kind !== 'held' || !copy.alive)
        throw new GodwitError('SuspendFailed', 'the simulated guest ended while its memory was being saved');
      if (copy.suspending !== true) throw new GodwitError('SuspendFailed', 'the simulated memory was not saved: the guest runs on');
      await delay(5);
    }
  }

  async rebootGuest({ serverId, fence, epoch }: Authority): Promise<GuestReport> {
    await this.#feed(serverId, { kind: 'reset', fence, epoch });
    await this.#feed(serverId, { kind: 'unpause', fence, epoch });
    return this.#told(serverId);
  }

  async changeNics(authority: Authority, wanted: WantedGuest): Promise<GuestReport> {
    this.#guests.set(authority.serverId, { ...this.#demandOurs(authority), wanted });
    return this.#told(authority.serverId);
  }

  async scaleGuest(authority: Authority, { vcpus }: Pick<WantedGuest, 'vcpus'>): Promise<GuestReport> {
    const guest = this.#demandOurs(authority);
    const { maxVcpus, vcpus: has } = guest.wanted;
    const refusal = growthRefusal({ vcpus: has, ...(maxVcpus !== undefined && { maxVcpus }) }, vcpus);
    if (refusal !== null) throw refusal;
    this.#guests.set(authority.serverId, { ...guest, wanted: { ...guest.wanted, vcpus } });
    return this.#told(authority.serverId);
  }

  async scaleMemory(authority: Authority, ramMib: number): Promise<GuestReport> {
    const guest = this.#demandOurs(authority);
    const refusal = memoryRefusal(guest.wanted, ramMib);
    if (refusal !== null) throw refusal;
    guest.qemu.ramMib = ramMib;
    this.#guests.set(authority.serverId, { ...guest, wanted: { ...guest.wanted, addedRamMib: ramMib - guest.wanted.ramMib } });
    return this.#told(authority.serverId);
  }

  #demandOurs(authority: Authority): SimulatedGuest {
    const { serverId, epoch } = authority;
    demandOurs({ custody: this.#gate, guests: { report: (id) => this.#report(id) } }, authority);
    const guest = this.#guests.get(serverId);
    if (guest === undefined || this.#gate.state(serverId).copy.kind !== 'held')
      throw new GodwitError('ServerNotFound', `server ${serverId} does not run on this host under epoch ${epoch}`);
    return guest;
  }

  async destroyGuest({ serverId, fence, epoch }: Authority, deleteDisks: boolean): Promise<boolean> {
    const existed = this.#guests.get(serverId) !== undefined || this.#gate.state(serverId).copy.kind !== 'none';
    await this.#feed(serverId, { kind: 'destroy', fence, epoch });
    if (deleteDisks) this.#guests.remove(serverId);
    this.#told(serverId);
    return existed;
  }

  async supersede(authority: Authority): Promise<GuestReport> {
    await this.destroyGuest(authority, false);
    return this.#report(authority.serverId);
  }

  readConsole(serverId: ServerId): Promise<Buffer> {
    return Promise.resolve(Buffer.from(this.#guests.get(serverId) ? 'a simulated guest has no console\n' : ''));
  }

  /** As its timings say: so fast, over all of its memory. */
  syncGuestTime({ serverId, epoch }: Authority): Promise<GuestTime> {
    const { copy } = this.#gate.state(serverId);
    const guest = this.#guests.get(serverId);
    if (guest === undefined || copy.kind !== 'held' || copy.grant.epoch !== epoch)
      throw new GodwitError('ServerNotFound', `server ${serverId} does not run on this host under epoch ${epoch}`);
    if (guest.wanted.guestAgent !== true)
      throw new GodwitError('InvalidState', `the machine of server ${serverId} has no channel for a guest agent`);
    return Promise.resolve(noAnswer('a simulated guest has no clock'));
  }

  measureDirty(serverId: ServerId): Promise<DirtyReport | null> {
    const guest = this.#guests.get(serverId);
    if (guest?.qemu.runstate !== 'running') return Promise.resolve(null);
    const usedBytes = memoryOf(guest.wanted) * 1_048_576;
    const points = [100, 1_000].map((windowMs) => ({
      windowMs,
      bytes: Math.min(usedBytes, (this.#timings.dirtyBytesPerSecond * windowMs) / 1_000),
    }));
    return Promise.resolve({ usedBytes, points, ageMs: 0 });
  }

  // ── moves ──

  async prepareIncoming(grant: Grant, wanted: WantedGuest, policy: MigrationPolicy, source: PeerAddress): Promise<IncomingReady> {
    this.#refuseBareMetal();
    const migrationId = moveId(grant);
    const known = this.#moves.get(migrationId);
    if (known?.ready && !known.record.ended) return known.ready;
    const startedAt = performance.now();
    const ready: IncomingReady = {
      migrationId,
      ramAddress: `sim-${randomBytes(6).toString('hex')}`,
      ramPort: 1,
      nbdPort: policy.blockMigration ? 1 : 0,
      overlayDiskIds: [],
      nbdPlain: false,
      ramPlain: false,
      machineType: wanted.machineType || machineType,
      cpuModel: wanted.cpuModel || 'simulated',
      preparedMs: 0,
    };
    const record = new MigrationRecord({ ...grant, migrationId }, 'destination', 'preparing', this.events, () => this.nowMs());
    this.#moves.set(migrationId, { record, grant, ready, peer: source, cause: null });
    try {
      await this.#feed(grant.serverId, { kind: 'grant', fence: grant.fence, grant });
      await delay(this.#timings.qemuStartMs);
      await this.#spawn(grant, wanted, 'inmigrate', ready.ramAddress);
      record.become('listening');
      return { ...ready, preparedMs: performance.now() - startedAt };
    } catch (error) {
      await this.#feed(grant.serverId, { kind: 'forfeit', fence: grant.fence, epoch: grant.epoch, bootId: grant.bootId }).catch(() => []);
      throw error;
    }
  }

  async startOutgoing(grant: Grant, ready: IncomingReady, policy: MigrationPolicy, destination: PeerAddress): Promise<MigrationReport> {
    this.#refuseBareMetal();
    const migrationId = moveId(grant);
    const known = this.#moves.get(migrationId);
    // An ended attempt under a burned number is followed by the next one, to another destination.
    if (known && !(known.record.ended && known.grant.epoch < grant.epoch)) return known.record.report;
    const record = new MigrationRecord({ ...grant, migrationId }, 'source', 'armed', this.events, () => this.nowMs());
    this.#moves.set(migrationId, { record, grant, ready, peer: destination, cause: null });
    try {
      await this.#feed(grant.serverId, { kind: 'arm', fence: grant.fence, grant });
      const guest = this.#guests.get(grant.serverId);
      if (guest) guest.qemu.copy = simulatedCopy(memoryOf(guest.wanted), this.#timings, policy);
      const memory = (): Promise<unknown> => this.#feed(grant.serverId, { kind: 'migrate', fence: grant.fence, epoch: grant.epoch });
      const disks = policy.blockMigration ? this.#disksOf(grant.serverId, policy.localDiskIds) : [];
      if (disks.length === 0) await memory();
      if (!record.ended) record.become('copying', { clockOffsetMs: 0, clockErrorMs: 0 });
      if (disks.length > 0)
        void this.#copyDisks(record, disks)
          .then(() => (record.ended ? undefined : memory()))
          .catch((error: unknown) => record.fail('failed', 'StreamFailed', (error as Error).message));
      return record.report;
    } catch (error) {
      await this.#feed(grant.serverId, { kind: 'disarm', fence: grant.fence, epoch: grant.epoch }).catch(() => []);
      record.fail('failed', 'PrepareFailed', (error as Error).message);
      throw error;
    }
  }

  /** Only a forced end changes anything here: a simulated copy's course was fixed when it began. */
  setMigrationPolicy(_authority: Authority, migrationId: MigrationId, policy: MigrationPolicy): Promise<MigrationReport> {
    const { grant } = this.#move(migrationId);
    if (policy.forceComplete) this.#guests.get(grant.serverId)?.qemu.hurry();
    return Promise.resolve(this.#move(migrationId).record.report);
  }

  async cancelOutgoing(grant: Grant): Promise<MigrationReport> {
    const migrationId = moveId(grant);
    const known = this.#moves.get(migrationId);
    const move = (known && known.grant.epoch >= grant.epoch ? known : null) ?? {
      record: new MigrationRecord({ ...grant, migrationId }, 'source', 'armed', this.events, () => this.nowMs()),
      grant,
      ready: null,
      peer: { hostId: grant.destination, address: '', rpcPort: 0 },
      cause: null,
    };
    this.#moves.set(migrationId, move);
    if (move.record.ended) return move.record.report;
    move.cause = 'CancelledByOperator';
    await this.#feed(grant.serverId, { kind: 'disarm', fence: grant.fence, epoch: grant.epoch });
    for (let turn = 0; turn < 100 && !move.record.ended; turn += 1) await delay(5);
    return move.record.report;
  }

  async resumeOutgoing(grant: Grant): Promise<MigrationReport> {
    await this.#feed(grant.serverId, { kind: 'resume', fence: grant.fence, epoch: grant.previousEpoch, forfeited: grant.epoch });
    this.#told(grant.serverId);
    return this.#move(moveId(grant)).record.report;
  }

  async forfeitIncoming(grant: Grant): Promise<{ readonly answer: TakeAnswer; readonly detail: string }> {
    const told = await this.#feed(grant.serverId, { kind: 'forfeit', fence: grant.fence, epoch: grant.epoch, bootId: grant.bootId });
    return { answer: answerOf(told), detail: '' };
  }

  async relayRelease(release: ReleaseNotice): Promise<MigrationReport> {
    await this.release(release);
    return this.#move(release.migrationId).record.report;
  }

  async finishIncoming(_authority: Authority, migrationId: MigrationId): Promise<MigrationReport> {
    const { record } = this.#move(migrationId);
    if (record.report.state !== 'running')
      throw new GodwitError('InvalidMigrationState', `the guest has not been taken here: the move is ${record.report.state}`);
    record.note({ networkVerified: true });
    return Promise.resolve(record.report);
  }

  async dropOutgoing(authority: Authority, _migrationId: MigrationId): Promise<boolean> {
    return this.destroyGuest(authority, false);
  }

  async release(notice: ReleaseNotice): Promise<ReleaseAnswer> {
    const { serverId, migrationId, source, destination, epoch } = notice;
    let told = await this.#feed(serverId, { kind: 'release', release: { migrationId, source, destination, epoch } });
    // A release may be quicker than the look that shows QEMU loaded.
    for (let turn = 0; turn < 200 && answerOf(told) === 'unknown'; turn += 1) {
      await delay(5);
      told = await this.#feed(serverId, { kind: 'observed' });
      const taken = this.#moves.get(migrationId)?.record.report.taken;
      if (taken) return { answer: taken, detail: '', resumedAtMs: this.#moves.get(migrationId)?.record.report.resumedAtMs ?? null };
    }
    return { answer: answerOf(told), detail: '', resumedAtMs: this.#moves.get(migrationId)?.record.report.resumedAtMs ?? null };
  }

  /** Nothing is on a simulated disk. */
  offerDisks(): Promise<number> {
    return Promise.resolve(0);
  }

  /** A disk of its size in which nothing was written. */
  async *snapshotDisk(authority: Authority, { disks }: WantedGuest, diskId: string): AsyncIterable<DiskChunk> {
    if (this.#options.host.hypervisorType === 'ironic')
      throw new GodwitError('NotImplemented', 'no image is made of the disk of a bare metal instance');
    demandOurs({ custody: this.#gate, guests: { report: (serverId) => this.#report(serverId) } }, authority, 'reads');
    const disk = disks.find((one) => one.diskId === diskId);
    if (disk === undefined) throw new GodwitError('NotFound', `the guest has no disk ${diskId}`);
    await delay(this.#timings.diskCreateMs);
    const data = emptyQcow2(disk.sizeBytes);
    yield { offset: 0, data, fileBytes: data.length };
    yield { offset: data.length, data: new Uint8Array(0), fileBytes: data.length };
  }

  async *readDisk(): AsyncIterable<never> {
    // Nothing to read.
  }

  async *readImage(): AsyncIterable<never> {
    // Nothing to read.
  }

  fetchDisks(): Promise<void> {
    return Promise.resolve();
  }

  carryFlows(): Promise<void> {
    return Promise.resolve();
  }

  setNetworkPolicy(): Promise<void> {
    return Promise.resolve();
  }

  setNetworkOpen(): Promise<null> {
    return Promise.resolve(null);
  }

  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    played.delete(this.hostId);
    this.#controller.close();
    this.#gate.close();
    this.#journal.close();
    this.#guests.flush();
  }

  // ── inside ──

  #disksOf(serverId: ServerId, ids: readonly string[]): readonly WantedDisk[] {
    return this.#guests.get(serverId)?.wanted.disks.filter(({ diskId }) => ids.includes(diskId)) ?? [];
  }

  /** As long as their full size takes on the link; told in slices. */
  async #copyDisks(record: MigrationRecord, disks: readonly WantedDisk[]): Promise<void> {
    const perMs = this.#timings.bandwidthBytesPerSecond / 1000;
    const totalBytes = disks.reduce((sum, { sizeBytes }) => sum + sizeBytes, 0);
    for (let copied = perMs === 0 ? totalBytes : 0; !record.ended; copied += perMs * 100) {
      let left = copied;
      const progress = disks.map(({ diskId, sizeBytes }) => {
        const offsetBytes = Math.min(sizeBytes, left);
        left -= offsetBytes;
        return { diskId, lengthBytes: sizeBytes, offsetBytes, ready: offsetBytes === sizeBytes };
      });
      record.note({ disks: progress });
      if (copied >= totalBytes) return;
      await delay(100);
    }
  }

  #refuseBareMetal(): void {
    if (this.#options.host.hypervisorType === 'ironic')
      throw new GodwitError('BareMetalCannotMigrate', 'bare metal instances cannot be migrated');
  }

  async #spawn(grant: Grant, wanted: WantedGuest, runstate: 'prelaunch' | 'inmigrate', listens: string | null): Promise<SimulatedQemu> {
    const guest = { wanted, qemu: new SimulatedQemu(memoryOf(wanted), this.#timings, runstate, listens) };
    this.#guests.set(wanted.serverId, guest);
    this.#watch(wanted.serverId, guest);
    await this.#feed(wanted.serverId, { kind: 'bind', epoch: grant.epoch, process: guest.qemu.process });
    return guest.qemu;
  }

  #watch(serverId: ServerId, guest: SimulatedGuest): void {
    const { qemu } = guest;
    this.#gate.attach(serverId, qemu);
    const current = (): SimulatedMove | undefined =>
      [...this.#moves.values()].find((move) => move.grant.serverId === serverId && !move.record.ended);
    qemu.onMigrationStatus((status) => {
      const move = current();
      move?.record.note({ qemuStatus: status });
      if (move?.record.report.role === 'source' && status === 'completed')
        move.record.note({ completedAtMs: this.nowMs(), qemuDowntimeMs: this.#timings.blackoutMs });
      if (move?.record.report.role === 'destination' && status === 'completed') move.record.become('loaded');
      if (status === 'completed' || status === 'failed' || status === 'cancelled')
        void this.#feed(serverId, { kind: 'observed' }).catch(() => []);
    });
    qemu.on((event) => {
      const move = current();
      if (event === 'gives-up') return void this.#giveUp(guest, move);
      if (event === 'STOP') move?.record.note({ stoppedAtMs: this.nowMs() });
      if (event === 'RESUME') move?.record.note({ resumedAtMs: this.nowMs() });
      if (event === 'ended') void this.#feed(serverId, { kind: 'observed' }).catch(() => []);
      this.#guests.save();
      if (!this.#closed) this.#told(serverId);
    });
  }

  async #giveUp({ qemu }: SimulatedGuest, move: SimulatedMove | undefined): Promise<void> {
    if (!move || !qemu.copy?.givesUp) return;
    const { serverId, epoch } = move.grant;
    move.cause = qemu.copy.givesUp.cause;
    move.why = qemu.copy.givesUp.why;
    await this.#feed(serverId, { kind: 'disarm', fence: this.#gate.state(serverId).fence, epoch }).catch(() => []);
  }

  async #feed(serverId: ServerId, event: CustodyInput): Promise<readonly HostMessage[]> {
    const told = await this.#gate.feed(serverId, event);
    for (const message of told) this.#heard(serverId, message);
    return told;
  }

  #heard(serverId: ServerId, message: HostMessage): void {
    const move = [...this.#moves.values()].find((one) => one.grant.serverId === serverId && !one.record.ended);
    switch (message.kind) {
      case 'took':
        if (move?.record.report.role === 'destination' && message.epoch === move.grant.epoch) {
          move.record.note({
            taken: message.alive ? 'took-alive' : 'took-dead',
            ...(move.grant.endState === 'paused' && { resumedAtMs: this.nowMs() }),
          });
          move.record.become('running', { guestState: move.grant.endState });
        }
        return;
      case 'forfeited':
        // The gate kills by pid, which a simulated process has none of.
        this.#guests.remove(serverId);
        if (move && message.epoch === move.grant.epoch) {
          move.record.note({ taken: 'has-not-and-forfeits' });
          move.record.become('forfeited');
        }
        return;
      case 'destroyed':
      case 'suspended':
        this.#guests.remove(serverId);
        return;
      case 'released':
        if (move) {
          const { grant } = move;
          move.record.become('released', { guestState: 'released' });
          const notice = this.#notice(move, message.release.epoch);
          this.events.emit({ kind: 'release', release: notice });
          if (!this.#closed && grant.migrationId !== null) void this.#controller.reportRelease(notice);
        }
        return;
      case 'disarmed':
        if (move && message.epoch === move.grant.epoch && message.source === 'runs')
          move.record.fail(
            move.cause === 'CancelledByOperator' ? 'cancelled' : 'failed',
            move.cause ?? 'StreamFailed',
            move.why ?? (move.cause === null ? 'the simulated stream failed' : 'cancelled'),
            { guestState: move.grant.endState },
          );
        else if (move && message.epoch === move.grant.epoch && message.source === 'lost')
          move.record.fail('lost', 'SourceDied', 'the source has no live copy', { guestState: 'crashed' });
        return;
      default:
        return;
    }
  }

  async #send(serverId: ServerId, to: HostId, message: PeerMessage): Promise<void> {
    if (message.kind !== 'release') return;
    const move = this.#moves.get(message.release.migrationId);
    if (!move) return;
    const notice = this.#notice(move, message.release.epoch);
    const neighbour = played.get(to);
    for (let turn = 0; !this.#closed && turn < 20 && this.#gate.state(serverId).copy.kind !== 'none'; turn += 1) {
      const link = neighbour ? null : openPeerLink(move.peer, this.#options.identity.current);
      try {
        const { answer } = await (neighbour
          ? neighbour.release(notice)
          : (link?.release(notice, 3_000) ?? Promise.reject(new Error('no link'))));
        move.record.note({ taken: answer });
        if (answer !== 'unknown') return;
      } catch {
        // Not heard, or not known there: the controller relays it too.
      } finally {
        link?.close();
      }
      await delay(200);
    }
  }

  #notice(move: SimulatedMove, epoch: ReleaseNotice['epoch']): ReleaseNotice {
    const { serverId, destination } = move.grant;
    return {
      serverId,
      migrationId: moveId(move.grant),
      source: this.hostId,
      destination,
      epoch,
      stoppedAtMs: move.record.report.stoppedAtMs ?? 0,
      completedAtMs: move.record.report.completedAtMs ?? 0,
    };
  }

  #streamOf(serverId: ServerId, epoch: number): string {
    for (const move of this.#moves.values())
      if (move.grant.serverId === serverId && move.grant.epoch === epoch && move.ready) return move.ready.ramAddress;
    throw new Error(`no move of server ${serverId} under epoch ${epoch} has been prepared`);
  }

  #move(migrationId: MigrationId): SimulatedMove {
    const move = this.#moves.get(migrationId);
    if (!move) throw new GodwitError('MigrationNotFound', `this host has no part in migration ${migrationId}`);
    return move;
  }

  #told(serverId: ServerId): GuestReport {
    const guest = this.#report(serverId);
    this.events.emit({ kind: 'guest', guest });
    return guest;
  }

  #report(serverId: ServerId): GuestReport {
    const custody = this.#gate.state(serverId);
    const { copy, knownEpoch } = custody;
    const guest = this.#guests.get(serverId);
    const move = [...this.#moves.values()].find((one) => one.grant.serverId === serverId && !one.record.ended);
    return {
      serverId,
      epoch: knownEpoch,
      custody,
      ...(copy.kind !== 'none' && { copyEpoch: copy.grant.epoch }),
      state: stateOf(copy.kind, guest?.qemu),
      detail: '',
      migrationId: move ? moveId(move.grant) : null,
      pid: guest?.qemu.dead === false ? guest.qemu.process.pid : null,
      machineType: guest ? guest.wanted.machineType || machineType : '',
      cpuModel: guest ? guest.wanted.cpuModel || 'simulated' : '',
      ...(guest ? { deviceLayout: guest.wanted.deviceLayout, guestAgent: guest.wanted.guestAgent === true } : {}),
      ...(guest?.qemu.dead === false ? { vcpus: guest.wanted.vcpus, ramMib: memoryOf(guest.wanted) } : {}),
      bootId: this.bootId,
      diskBytesUsed: 0,
    };
  }
}

function stateOf(copy: Copy['kind'], qemu: SimulatedQemu | undefined): GuestState {
  if (copy === 'suspended') return 'suspended';
  if (copy === 'released') return 'released';
  if (copy === 'granted') return 'incoming';
  if (copy === 'none' || !qemu || qemu.dead || qemu.runstate === 'other') return 'shutoff';
  return qemu.runstate === 'running' ? 'running' : 'paused';
}

function moveId(grant: Grant): MigrationId {
  if (grant.migrationId === null) throw new GodwitError('BadRequest', 'the grant is for a start, not for a move');
  return grant.migrationId;
}

function answerOf(told: readonly HostMessage[]): TakeAnswer {
  for (const message of told) {
    if (message.kind === 'forfeited') return 'has-not-and-forfeits';
    if (message.kind === 'took') return message.alive ? 'took-alive' : 'took-dead';
  }
  return 'unknown';
}
