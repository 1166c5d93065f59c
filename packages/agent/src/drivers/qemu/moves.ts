import type { Grant } from '@godwit/domain/custody/grant';
import type { HostMessage, PeerMessage } from '@godwit/domain/custody/host-effect';
import { GodwitError } from '@godwit/domain/errors';
import type { DiskSpec, GuestSpec } from '@godwit/domain/guest-spec';
import type { Epoch, HostId, MigrationId, ServerId } from '@godwit/domain/ids';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import { makeConfigDrive, removeConfigDrive, withConfigDrive } from '../../config-drive/make-config-drive.ts';
import { within } from '../../migration/deadline.ts';
import { IncomingMigration } from '../../migration/destination.ts';
import { endBehind } from '../../migration/end-behind.ts';
import { sweepTunnels } from '../../migration/frame-mirror.ts';
import { MigrationRecord } from '../../migration/migration-record.ts';
import type { MigrationStore, StoredMigration } from '../../migration/migration-store.ts';
import { movable } from '../../migration/move-grant.ts';
import { OutgoingMigration } from '../../migration/source.ts';
import { streamChannels } from '../../migration/stream-setup.ts';
import { streamForbidden } from '../../migration/stream-taken.ts';
import { removeCopies } from '../../migration/target-disks.ts';
import type { CarriedFlows } from '../../network/guest-networks.ts';
import { removeTaps } from '../../network/remove-taps.ts';
import type { GuestFact } from '../../qemu/guest-fact.ts';
import { refuseImmovable } from '../../qemu/immovable-devices.ts';
import { refuseOtherDevices } from '../../qemu/nic-devices.ts';
import { deleteDisk } from '../../storage/disk-store.ts';
import { SpaceLedger } from '../../storage/space-ledger.ts';
import type {
  Authority,
  IncomingReady,
  MigrationPolicy,
  NetworkEncapsulation,
  PeerAddress,
  ReleaseAnswer,
  ReleaseNotice,
} from '../host-driver.ts';
import type { MigrationReport, TakeAnswer } from '../migration-report.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { Clearing } from './clearing.ts';
import { EndedAccounts } from './ended-accounts.ts';
import { concerns, endedReport } from './ended-report.ts';
import { cacheBootImages, deleteGuestDisks, ownDisks, requireSharedDisks } from './guest-disks.ts';
import { bootPool, guestSpecOf, poolNamed } from './guest-spec-of.ts';
import { imageFor } from './image-from-peer.ts';
import type { QemuHost } from './qemu-host.ts';
import { receiveDisks, splitDisks } from './receive-disks.ts';
import { requireProcess } from './require-process.ts';

type Move = OutgoingMigration | IncomingMigration;

/** A move whose QEMU is dead has ended by then, or will not. */
const settlesWithinMs = 5_000;

/** Every move that this host has, or had, a part in. */
export class Moves {
  readonly #host: QemuHost;
  readonly #store: MigrationStore;
  /** By migration id, oldest first. A host is never both ends of one move. */
  readonly #moves = new Map<MigrationId, Move>();
  readonly #accounts = new EndedAccounts();
  readonly #clearing: Clearing;
  /** Disks that moves to this host had made when an earlier agent died, and which their forfeit deletes. */
  readonly #unfinished = new Map<string, readonly DiskSpec[]>();
  readonly #space: SpaceLedger;

  constructor(host: QemuHost, store: MigrationStore, space = new SpaceLedger()) {
    this.#host = host;
    this.#space = space;
    this.#store = store;
    this.#clearing = new Clearing(host.log);
  }

  reports(): readonly MigrationReport[] {
    return [...this.#accounts.reports(), ...[...this.#moves.values()].map((move) => move.record.report)];
  }

  // ── destination ──

  async prepare(grant: Grant, wanted: WantedGuest, policy: MigrationPolicy, source: PeerAddress): Promise<IncomingReady> {
    const host = this.#host;
    const move = movable(grant);
    await this.cleared(grant.serverId);
    const known = this.#moves.get(move.migrationId);
    if (known instanceof IncomingMigration && known.ready && !known.record.ended) return known.ready;
    if (known && !isBefore(known, move))
      throw new GodwitError('InvalidMigrationState', `migration ${move.migrationId} is ${known.record.report.state} on this host`);
    if (grant.source === host.hostId) throw new GodwitError('SameHost', 'a guest is not moved to the host that it runs on');
    refuseForbidden(host, 'single', policy, host.capabilities.version);
    const spec = withConfigDrive(host.config.stateDir, guestSpecOf(wanted, host.pools, host.defaults), wanted);
    const { copied, shared } = splitDisks(wanted, policy);
    await Promise.all([
      requireSharedDisks({ ...wanted, disks: shared }, host.pools),
      cacheBootImages(wanted, host.pools, (imageId) =>
        imageFor(host, source, bootPool(wanted, host.pools).name)({ imageId, format: 'blob', sha512: '' }),
      ),
    ]);
    // Last: it promises room, and nothing may fail between the promise and who gives it back.
    const reception =
      copied.length === 0
        ? null
        : await receiveDisks(wanted, copied, policy.diskOverCommit, host.pools, this.#space, (image, pool) =>
            imageFor(host, source, pool)(image),
          );
    const incoming = new IncomingMigration(host, this.#store, {
      grant: move,
      spec,
      networkPolicy: wanted.networkPolicy ?? null,
      policy,
      source,
      granted: async () => {
        // An order of before may have come until now, and takes away by name what this move makes.
        await this.cleared(grant.serverId);
        await makeConfigDrive(host.config.stateDir, spec, wanted);
      },
      ...(reception && { makeDisks: reception.make }),
    });
    if (reception) void incoming.settled.then(reception.release);
    this.#add(move.migrationId, incoming);
    try {
      return await incoming.prepare();
    } catch (error) {
      reception?.release();
      throw error;
    }
  }

  async release(notice: ReleaseNotice): Promise<ReleaseAnswer> {
    const move = this.#moves.get(notice.migrationId);
    if (move instanceof IncomingMigration) return move.release(notice);
    // Unknown here: custody alone can say what became of that epoch.
    const { migrationId, source, destination, epoch } = notice;
    const told = await this.#host.custody.feed(notice.serverId, { kind: 'release', release: { migrationId, source, destination, epoch } });
    const took = told.find((message) => message.kind === 'took');
    return {
      answer: took?.kind === 'took' ? (took.alive ? 'took-alive' : 'took-dead') : 'unknown',
      detail: 'this agent has no account of the move',
      resumedAtMs: null,
    };
  }

  async setNetworkOpen(
    from: HostId,
    migrationId: MigrationId,
    open: boolean,
    busyPorts: readonly number[],
  ): Promise<NetworkEncapsulation | null> {
    const move = this.#incoming(migrationId);
    if (move.move.grant.source !== from) throw new GodwitError('Forbidden', `host ${from} is not the source of migration ${migrationId}`);
    return move.setNetworkOpen(open, busyPorts);
  }

  async carryFlows(from: HostId, migrationId: MigrationId, flows: CarriedFlows): Promise<void> {
    const { grant, spec } = this.#incoming(migrationId).move;
    if (grant.source !== from) throw new GodwitError('Forbidden', `host ${from} is not the source of migration ${migrationId}`);
    await this.#host.networks.carry(spec.nics, flows);
  }

  async forfeit(
    grant: Grant,
    deleteDisks: boolean,
    wanted: WantedGuest | null,
  ): Promise<{ readonly answer: TakeAnswer; readonly detail: string }> {
    const { serverId, epoch, fence, bootId } = grant;
    const move = grant.migrationId === null ? undefined : this.#moves.get(grant.migrationId);
    const told = await this.#host.custody.feed(serverId, { kind: 'forfeit', fence, epoch, bootId });
    if (move instanceof IncomingMigration) {
      for (const message of told) move.heard(message);
      await move.cleared;
    }
    const answer = answerOf(told);
    // An agent that died while preparing left no move, but perhaps taps, a dead QEMU's traces, and disks that it had begun to fill.
    if (answer === 'has-not-and-forfeits' && !(move instanceof IncomingMigration)) {
      await this.#clearTraces(serverId, wanted);
      await removeCopies(this.#unfinished.get(grant.migrationId ?? '') ?? []);
    }
    // Only copies that this host alone has: on a shared pool the disk is the source's too.
    if (answer === 'has-not-and-forfeits' && deleteDisks && wanted)
      await deleteGuestDisks(serverId, { ...wanted, disks: ownDisks(this.#host.pools, wanted.disks) }, this.#host.pools);
    return { answer, detail: move?.record.report.detail ?? '' };
  }

  async relay(notice: ReleaseNotice): Promise<MigrationReport> {
    const move = this.#incoming(notice.migrationId);
    await move.release(notice);
    return move.record.report;
  }

  async finish(authority: Authority, migrationId: MigrationId): Promise<MigrationReport> {
    // Its guest died with the agent that took it: there is nothing to finish, and something to tell.
    const account = this.#accounts.get(migrationId);
    if (!this.#moves.has(migrationId) && account?.taken === 'took-dead') return account;
    const move = this.#incoming(migrationId);
    if (authority.epoch !== move.move.grant.epoch)
      throw new GodwitError('InvalidMigrationState', `migration ${migrationId} has epoch ${move.move.grant.epoch}, not ${authority.epoch}`);
    await move.finish();
    this.#host.guests.setMigration(authority.serverId, null);
    return move.record.report;
  }

  // ── source ──

  async start(grant: Grant, ready: IncomingReady, policy: MigrationPolicy, destination: PeerAddress): Promise<MigrationReport> {
    const host = this.#host;
    const move = movable(grant);
    const known = this.#moves.get(move.migrationId);
    if (known && !isBefore(known, move)) return known.record.report;
    // Its mirrors hold the disks until they are gone.
    for (const earlier of this.#of(grant.serverId)) if (earlier instanceof OutgoingMigration && earlier.record.ended) await earlier.close();
    if (grant.destination !== destination.hostId)
      throw new GodwitError('BadRequest', `the grant names ${grant.destination} as destination, the request ${destination.hostId}`);
    const process = requireProcess(host, grant.serverId);
    try {
      // The guest may have been started by an older QEMU than the one installed since.
      refuseForbidden(host, ready.stream?.used ?? 'single', policy, process.qmp.qemuVersion);
      await refuseImmovable(process.qmp);
      await refuseOtherDevices(process, ready.devices);
      refuseDisks(process.spec, policy, ready, host.config.diskStreamTls !== false);
      if (ready.ramPlain && host.config.memoryStreamTls !== false)
        throw new GodwitError(
          'ForbiddenCombination',
          'the destination takes memory without TLS only (memoryStreamTls), this host sends it with TLS only',
        );
      const outgoing = new OutgoingMigration(host, this.#store, process, { grant: move, ready, policy, destination });
      this.#add(move.migrationId, outgoing);
      host.guests.setMigration(grant.serverId, move.migrationId);
      await outgoing.start();
      return outgoing.record.report;
    } catch (error) {
      // A monitor that hung up is no reason: the end of its process is.
      const end = await endBehind(error, process);
      if (end === null) throw error;
      throw new GodwitError('ServerNotFound', `server ${grant.serverId} has no QEMU on this host any more: ${end}`, {}, { cause: error });
    }
  }

  async setPolicy(migrationId: MigrationId, policy: MigrationPolicy): Promise<MigrationReport> {
    const move = this.#moves.get(migrationId);
    if (!(move instanceof OutgoingMigration))
      throw new GodwitError('MigrationNotFound', `this host is not the source of migration ${migrationId}`);
    await move.setPolicy(policy);
    return move.record.report;
  }

  async cancel(grant: Grant): Promise<MigrationReport> {
    const { migrationId } = movable(grant);
    const move = this.#moves.get(migrationId);
    if (move instanceof OutgoingMigration && !isBefore(move, grant)) {
      await move.cancel('CancelledByOperator', 'cancelled');
      if (move.record.ended && move.record.report.state !== 'released') this.#host.guests.setMigration(grant.serverId, null);
      return move.record.report;
    }
    // Never started here: the disarm makes sure that it never will be.
    const record = new MigrationRecord(movable(grant), 'source', 'armed', this.#host.events, () => this.#host.clock.nowMs());
    const told = await this.#host.custody.feed(grant.serverId, { kind: 'disarm', fence: grant.fence, epoch: grant.epoch });
    const how = told.find((message) => message.kind === 'disarmed');
    if (how?.kind === 'disarmed' && how.source === 'lost')
      record.fail('lost', 'SourceDied', 'the source has no live copy', { guestState: 'crashed' });
    else if (how?.kind === 'disarmed' && how.source === 'completed') record.become('released', { guestState: 'released' });
    else record.fail('cancelled', 'CancelledByOperator', 'cancelled before it began');
    this.#accounts.add(record.report);
    return record.report;
  }

  async resumeAfterForfeit(grant: Grant): Promise<MigrationReport> {
    const { migrationId } = movable(grant);
    const told = await this.#host.custody.feed(grant.serverId, {
      kind: 'resume',
      fence: grant.fence,
      epoch: grant.previousEpoch,
      forfeited: grant.epoch,
    });
    const move = this.#moves.get(migrationId);
    for (const message of told) if (move instanceof OutgoingMigration) move.heard(message);
    this.#host.guests.setMigration(grant.serverId, null);
    this.#host.guests.tell(grant.serverId);
    const report = move?.record.report ?? this.#accounts.get(migrationId);
    if (!report) throw new GodwitError('MigrationNotFound', `this host has no part in migration ${migrationId}`);
    return report;
  }

  async drop(authority: Authority, migrationId: MigrationId, deleteDisks: boolean, wanted: WantedGuest | null): Promise<boolean> {
    const host = this.#host;
    const { serverId } = authority;
    const move = this.#moves.get(migrationId);
    const process = host.guests.process(serverId);
    const existed = process !== null || host.custody.state(serverId).copy.kind !== 'none';
    // Also of a QEMU that has died before.
    const spec = host.guests.spec(serverId) ?? (wanted && guestSpecOf(wanted, host.pools, host.defaults));
    await host.custody.feed(serverId, { kind: 'destroy', fence: authority.fence, epoch: authority.epoch });
    // The copy is dead: nobody waits for the rest. First the mirror, then the tap: a filter on a device that vanishes is harmless, a tunnel without a reader is not.
    const undeleted: unknown[] = [];
    const asked = (deleteDisks && wanted?.disks) || [];
    // Of a pool that is not open nobody may think that the disk is gone from it; but that is said when the rest is done.
    const open = asked.filter(({ pool }) => host.pools.has(pool));
    this.#clearing.add(
      serverId,
      async () => move instanceof OutgoingMigration && (await move.close()),
      async () => spec && (await removeTaps(host, spec.nics)),
      () => removeConfigDrive(host.config.stateDir, serverId),
      // Not its console log, which may lie where the guest's new host goes on with it.
      ...ownDisks(host.pools, open).map(
        ({ diskId, pool, format }) =>
          async () =>
            deleteDisk(poolNamed(host.pools, pool), serverId, diskId, format).catch((error: unknown) => {
              undeleted.push(error);
              throw error;
            }),
      ),
      async () => move && (await this.#settle(migrationId, move)),
    );
    host.guests.forget(serverId);
    host.guests.tell(serverId);
    for (const { pool } of asked) poolNamed(host.pools, pool);
    // No move waits for this answer: whoever orders it forgets the disks by it.
    if (deleteDisks && move === undefined) {
      await this.cleared(serverId);
      if (undeleted.length > 0) throw undeleted[0];
    }
    return existed;
  }

  /** Every copy of this server on this host is dead, by an order that is no move's: what its moves have left here is cleared away too. */
  destroyed(serverId: ServerId): void {
    const left = this.#of(serverId);
    if (left.length === 0) return;
    this.#clearing.add(serverId, async () => {
      for (const move of left) {
        const { epoch, migrationId } = move.move.grant;
        if (move instanceof OutgoingMigration) move.heard({ kind: 'ended', epoch });
        await within(move.settled, settlesWithinMs, undefined);
        if (this.#moves.get(migrationId) === move) await this.#settle(migrationId, move);
      }
    });
  }

  /** Resolves once nothing of an earlier copy of this server is being cleared away on this host: before another one comes. */
  async cleared(serverId: ServerId): Promise<void> {
    await this.#clearing.done(serverId);
  }

  // ── custody, QEMU ──

  /** News from custody that no call is waiting for. */
  heard(serverId: ServerId, message: HostMessage): void {
    for (const move of this.#of(serverId)) move.heard(message);
  }

  /** QMP's arguments of `migrate` for the move that custody is about to start. */
  streamOf(serverId: ServerId, epoch: Epoch): Readonly<Record<string, unknown>> {
    for (const move of this.#of(serverId))
      if (move instanceof OutgoingMigration && move.move.grant.epoch === epoch)
        return streamChannels(move.move.ready.ramAddress, move.move.ready.ramPort);
    throw new Error(`no move of server ${serverId} under epoch ${epoch} has been prepared`);
  }

  /** Custody's order to tell another host something. */
  send(serverId: ServerId, message: PeerMessage): void {
    if (message.kind !== 'release') return; // post-copy is never granted yet
    for (const move of this.#of(serverId))
      if (move instanceof OutgoingMigration && move.move.grant.epoch === message.release.epoch) move.send(message.release);
  }

  guestIs(serverId: ServerId, fact: GuestFact): void {
    for (const move of this.#of(serverId)) move.guestIs(fact);
  }

  /** Takes up what an earlier agent left: accounts, and for living guests their moves. Called before custody adopts, which may at once have a release to send. */
  async restore(stored: readonly StoredMigration[]): Promise<void> {
    for (const one of stored) {
      const { host } = { host: this.#host };
      const grant = movable(one.grant);
      const process = host.guests.process(grant.serverId);
      const record = MigrationRecord.restored(one.report, grant, host.events, () => host.clock.nowMs());
      const concerned = process !== null && concerns(host, one);
      if (!concerned) {
        if (one.role === 'destination') this.#unfinished.set(grant.migrationId, one.copies ?? []);
        this.#accounts.add(endedReport(host, one));
        continue;
      }
      const move =
        one.role === 'source' && one.ready
          ? new OutgoingMigration(
              host,
              this.#store,
              process,
              { grant, ready: one.ready, policy: one.policy, destination: one.peer },
              record,
            )
          : new IncomingMigration(
              host,
              this.#store,
              { grant, spec: process.spec, networkPolicy: null, policy: one.policy, source: one.peer },
              { record, ready: one.ready, process },
            );
      this.#add(grant.migrationId, move);
      if (!record.ended || record.report.state === 'released') host.guests.setMigration(grant.serverId, grant.migrationId);
    }
  }

  /** After custody has adopted: goes on watching. What custody knows and the account does not is told now. */
  resume(): void {
    for (const move of this.#moves.values()) {
      const { serverId, epoch } = move.move.grant;
      const { copy } = this.#host.custody.state(serverId);
      if (move instanceof OutgoingMigration) {
        const leaving = copy.kind === 'released' || (copy.kind === 'held' && copy.outgoing?.grant.epoch === epoch);
        if (!move.record.ended && !leaving)
          move.heard({ kind: 'disarmed', epoch, source: copy.kind === 'held' && copy.alive ? 'runs' : 'lost' });
        move.resume();
      } else if (copy.kind === 'held' && copy.grant.epoch === epoch) move.heard({ kind: 'took', epoch, alive: copy.alive });
    }
  }

  /** Those that have not ended here. */
  goingOn(): readonly MigrationId[] {
    return [...this.#moves].flatMap(([id, { record }]) => (record.ended ? [] : [id]));
  }

  ids(): readonly MigrationId[] {
    return [...this.#moves.keys()];
  }

  /** Those away from here whose frames may still be copied to their destination. What led here came to the agent that held the frames, and ended with it. */
  copyingFrames(): readonly MigrationId[] {
    return [...this.#moves].flatMap(([id, { record }]) =>
      record.report.role === 'source' && (!record.ended || record.report.state === 'released') ? [id] : [],
    );
  }

  async close(): Promise<void> {
    await this.#clearing.allDone();
    for (const move of this.#moves.values()) if (move instanceof IncomingMigration) move.close();
  }

  async #clearTraces(serverId: ServerId, wanted: WantedGuest | null): Promise<void> {
    const host = this.#host;
    if (host.custody.state(serverId).copy.kind !== 'none') return;
    const nics = host.guests.spec(serverId)?.nics ?? (wanted ? guestSpecOf(wanted, host.pools, host.defaults).nics : []);
    await removeTaps(host, nics);
    await removeConfigDrive(host.config.stateDir, serverId);
    await sweepTunnels(host.tools, this.ids());
    host.guests.forget(serverId);
  }

  #incoming(migrationId: MigrationId): IncomingMigration {
    const move = this.#moves.get(migrationId);
    if (!(move instanceof IncomingMigration))
      throw new GodwitError('MigrationNotFound', `this host is not the destination of migration ${migrationId}`);
    return move;
  }

  #of(serverId: ServerId): readonly Move[] {
    return [...this.#moves.values()].filter((move) => move.move.grant.serverId === serverId);
  }

  #add(migrationId: MigrationId, move: Move): void {
    // An ended move of the same guest must not hear the facts of this one.
    for (const [id, earlier] of this.#moves)
      if (earlier.record.ended && earlier.move.grant.serverId === move.move.grant.serverId) void this.#settle(id, earlier);
    this.#accounts.forget(migrationId);
    this.#moves.set(migrationId, move);
  }

  /** Resolves when nothing of it is left here but its account. */
  async #settle(migrationId: MigrationId, move: Move): Promise<void> {
    this.#moves.delete(migrationId);
    this.#accounts.add(move.record.report);
    await (move instanceof IncomingMigration ? move.leave() : move.close()).catch((error: unknown) =>
      this.#host.log.warn({ err: error, migrationId }, 'traces of an ended move could not be cleared away'),
    );
  }
}

/** An attempt of the same migration that has ended, and whose number is burned: another one, to another destination, follows it. */
const isBefore = (known: Move, { epoch }: Pick<Grant, 'epoch'>): boolean => known.record.ended && known.move.grant.epoch < epoch;

/**
 * Throws ForbiddenCombination when this host's QEMU has no part in a live migration. A row of the table counts when either side is in its range, so each side judges its own version:
 * the destination in `prepare`, the source in `start`, both before anything has changed.
 */
function refuseForbidden(host: QemuHost, stream: MemoryStream, policy: MigrationPolicy, version: string): void {
  const why = streamForbidden(stream, policy.blockMigration && policy.localDiskIds.length > 0, version, host);
  if (why !== null) throw new GodwitError('ForbiddenCombination', why);
}

/** Throws GodwitError InvalidSharedStorage when a disk that only this host has is not to be copied, ForbiddenCombination when the disk stream would be readable on the wire. */
function refuseDisks(spec: GuestSpec, policy: MigrationPolicy, ready: IncomingReady, tls: boolean): void {
  const left = spec.disks.find(
    ({ id, storage, readOnly }) => storage === 'local' && !readOnly && !(policy.blockMigration && policy.localDiskIds.includes(id)),
  );
  if (left) throw new GodwitError('InvalidSharedStorage', `disk ${left.id} is on a pool local to this host: it would have to be copied`);
  if (policy.blockMigration && policy.localDiskIds.length > 0 && ready.nbdPlain && tls)
    throw new GodwitError(
      'ForbiddenCombination',
      'the destination takes disks without TLS only (diskStreamTls), this host sends them with TLS only',
    );
}

function answerOf(told: readonly HostMessage[]): TakeAnswer {
  for (const message of told) {
    if (message.kind === 'forfeited') return 'has-not-and-forfeits';
    if (message.kind === 'took') return message.alive ? 'took-alive' : 'took-dead';
  }
  return 'unknown';
}
