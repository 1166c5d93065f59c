import { create, type MessageInitShape } from '@bufbuild/protobuf';
import { Code, ConnectError } from '@connectrpc/connect';
import {
  DestroyGuestResponseSchema,
  DiskChunkSchema,
  FetchDisksProgressSchema,
  ForfeitIncomingResponseSchema,
  GetHostResponseSchema,
  ListGuestsResponseSchema,
  MeasureDirtyResponseSchema,
  OfferDisksResponseSchema,
  SyncGuestTimeResponseSchema,
} from '@godwit/contract/gen/agent_pb';
import { type Custody, EndState, type Grant, TakeAnswer } from '@godwit/contract/gen/custody_pb';
import { type Guest, type GuestReport, GuestReportSchema, GuestState } from '@godwit/contract/gen/guest_pb';
import {
  IncomingReadySchema,
  type MigrationPolicy,
  type MigrationReport,
  MigrationReportSchema,
  MigrationRole,
} from '@godwit/contract/gen/migration_pb';
import type { Grant as CustodyGrant } from '@godwit/domain/custody/grant';
import type { HostReport } from '@godwit/domain/custody/host-effect';
import type { HostFacts } from '@godwit/domain/host';
import { as, asEpoch, asFence, type BootId, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import type { AgentClient, Agents } from '../../agents/agents.ts';

type Call = Extract<keyof AgentClient, string>;

/** `refusedThrough`: what was forfeited or destroyed here; no grant up to it is accepted. */
type FakeGuest = {
  epoch: number;
  state: GuestState;
  fence: number;
  refusedThrough?: number;
  nics?: { portId: string; slot: number | null }[];
  deviceLayout?: number;
  /** What its machine has, and what its host tells of it. */
  guestAgent?: boolean;
  vcpus?: number;
  ramMib?: number;
};
type FakeMove = { grant: Grant; state: string; role: MigrationRole; guest: GuestState; cause: string; taken: TakeAnswer; rounds: number };

/**
 * Hosts in memory behind the agents' RPC, for tests of workflows alone. Refuses low fences and stale epochs as the real agent does; a fault is put before or after
 * a call (`after`: it was done, the answer is lost).
 */
export type FakeHost = {
  readonly id: HostId;
  readonly name: string;
  bootId: string;
  down: boolean;
  /** Its clock minus the controller's. */
  clockOffMs?: number;
  /** False: an agent that knows of no channel for the guest agent, whatever it is asked. */
  buildsGuestAgent?: boolean;
  /** What it measures of a destination's clock, against its own. */
  clockOffsetMs?: number;
  /** What it answers of a guest's clock, in turn; none left: that it has set it. */
  readonly guestTimes: MessageInitShape<typeof SyncGuestTimeResponseSchema>[];
  /** How often it was looked at while it was down. */
  unanswered: number;
  /** How often it was asked for its guests while it was down. */
  unansweredLists: number;
  readonly guests: Map<string, FakeGuest>;
  readonly moves: Map<string, FakeMove>;
  readonly calls: { readonly call: Call; readonly fence: number }[];
  /** Thrown once at the next such call. */
  readonly faults: { call: Call; when: 'before' | 'after'; error: ConnectError }[];
  /** What it was told that moves may cost, newest last. */
  readonly policies: MigrationPolicy[];
  /** What it says of itself instead; read when a controller connects. */
  facts: Partial<HostFacts>;
  /** Those that it was told to delete with a copy that has left. */
  readonly deletedDisks: string[];
  /** Disks that starts found missing and made, with the image that they were made of; those that went with what was destroyed. */
  readonly madeDisks: { readonly diskId: string; readonly imageId: string }[];
  readonly destroyedDisks: string[];
  /** What a copy of any disk of this host holds; null: it breaks in its middle. */
  snapshot: Buffer | null;
  /** How many questions a copy takes; null: it never ends by itself. */
  copyRounds: number | null;
  /** So many times it cannot destroy a copy: its disk is full. */
  failingDrops: number;
  /** As a destination, when the release comes: takes, loses its QEMU before, or does not hear it. */
  onRelease: 'takes' | 'dies' | 'deaf';
};

export const refusal = (code: string, message = code, knownEpoch = 0, knownFence = 0): ConnectError =>
  new ConnectError(message, Code.FailedPrecondition, {
    'godwit-code': code,
    'godwit-known-epoch': String(knownEpoch),
    'godwit-known-fence': String(knownFence),
  });
export const silence = (): ConnectError => new ConnectError('connection lost', Code.Unavailable);

export const fakeFacts = (name: string): HostFacts => ({
  hypervisorType: 'QEMU',
  qemuVersion: '10.0.2',
  accelerator: 'tcg',
  acceleratorReason: '',
  cpuModel: 'max',
  cpuFeatures: [],
  machineTypes: ['pc-q35-10.0'],
  cores: 8,
  ramMib: 16_384,
  kernel: '6.1',
  bootedAtMs: 0,
  load: [0, 0, 0],
  bridges: [],
  selfTest: [],
  suspends: true,
  deviceLayout: 2,
  guestAgent: true,
  agentVersion: '0',
  pools: [
    { name: 'shared', poolId: 'pool-1', kind: 'shared', totalBytes: 2 ** 40, freeBytes: 2 ** 40 },
    { name: 'local', poolId: `local-${name}`, kind: 'local', totalBytes: 2 ** 40, freeBytes: 2 ** 40 },
  ],
});

export function fakeAgents(hosts: readonly FakeHost[]): Agents {
  const byId = new Map(hosts.map((host) => [host.id, host]));
  return {
    client: async (id) => {
      const host = byId.get(id);
      if (host === undefined) throw silence();
      return clientOf(host, byId);
    },
    forget: () => {},
    close: async () => {},
  };
}

export function fakeHost(id: string, name: string): FakeHost {
  return {
    id: as<HostId>(id),
    name,
    bootId: `boot-${name}-1`,
    down: false,
    unanswered: 0,
    unansweredLists: 0,
    guests: new Map(),
    moves: new Map(),
    calls: [],
    faults: [],
    guestTimes: [],
    policies: [],
    facts: {},
    deletedDisks: [],
    madeDisks: [],
    destroyedDisks: [],
    snapshot: Buffer.alloc(0),
    copyRounds: 2,
    failingDrops: 0,
    onRelease: 'takes',
  };
}

/** Running copies of a server over all hosts: custody's first promise is that this is never more than one. */
export function runningCopies(hosts: readonly FakeHost[], serverId: string): number {
  return hosts.filter((host) => host.guests.get(serverId)?.state === GuestState.RUNNING).length;
}

function clientOf(host: FakeHost, all: ReadonlyMap<HostId, FakeHost>): AgentClient {
  const guestReport = (serverId: string): GuestReport => {
    const guest = host.guests.get(serverId);
    return create(GuestReportSchema, {
      serverId,
      epoch: BigInt(Math.max(guest?.epoch ?? 0, guest?.refusedThrough ?? 0)),
      copyEpoch: BigInt(guest?.epoch ?? 0),
      custodyJson: JSON.stringify(fakeCustody(host, serverId, guest)),
      state: guest?.state ?? GuestState.SHUTOFF,
      bootId: host.bootId,
      machineType: 'pc-q35-10.0',
      cpuModel: 'max',
      deviceLayout: guest?.deviceLayout ?? 2,
      ...(guest?.guestAgent === undefined ? {} : { guestAgent: guest.guestAgent }),
      vcpus: guest?.state === GuestState.RUNNING || guest?.state === GuestState.PAUSED ? (guest.vcpus ?? 0) : 0,
      ramMib: BigInt(guest?.state === GuestState.RUNNING || guest?.state === GuestState.PAUSED ? (guest.ramMib ?? 0) : 0),
    });
  };
  const obey = (serverId: string, fence: bigint): void => {
    const guest = host.guests.get(serverId);
    if (guest !== undefined && Number(fence) < guest.fence) throw refusal('custody-fence-low', 'low', 0, guest.fence);
    if (guest !== undefined) guest.fence = Number(fence);
  };
  const under = (custody: Custody | undefined): FakeGuest => {
    if (custody === undefined) throw refusal('BadRequest');
    obey(custody.serverId, custody.fence);
    const guest = host.guests.get(custody.serverId);
    if (guest === undefined || guest.epoch !== Number(custody.epoch) || guest.state === GuestState.SUSPENDED)
      throw refusal('custody-epoch-unknown');
    return guest;
  };
  const report = (move: FakeMove): MigrationReport =>
    create(MigrationReportSchema, {
      migrationId: move.grant.migrationId,
      serverId: move.grant.serverId,
      role: move.role,
      epoch: move.grant.epoch,
      state: move.state,
      guestState: move.guest,
      cause: move.cause,
      taken: move.taken,
      networkVerified: true,
      stoppedAtMs: move.state === 'released' ? 1_000 : 0,
      completedAtMs: move.state === 'released' ? 1_010 : 0,
      resumedAtMs: move.role === MigrationRole.DESTINATION && move.state === 'running' ? 1_512 : 0,
      clockOffsetMs: host.clockOffsetMs ?? 500,
      clockErrorMs: 0.2,
      qemuDowntimeMs: 9,
      ram: {
        totalBytes: 1024n,
        transferredBytes: BigInt(move.rounds),
        remainingBytes: 0n,
        dirtyPagesRate: 0n,
        dirtySyncCount: 2n,
        pageSize: 4096n,
        mbps: 1,
      },
    });
  const moveOf = (id: string): FakeMove => {
    const move = host.moves.get(id);
    if (move === undefined) throw new ConnectError('no such migration', Code.NotFound, { 'godwit-code': 'MigrationNotFound' });
    return move;
  };
  /** The source is done: releases, and the destination takes, as the agents do among themselves. */
  const release = (move: FakeMove): void => {
    move.state = 'released';
    const guest = host.guests.get(move.grant.serverId);
    if (guest !== undefined) guest.state = GuestState.RELEASED;
    move.guest = GuestState.RELEASED;
    const destination = all.get(as<HostId>(move.grant.destinationHostId));
    if (destination === undefined || destination.down || destination.onRelease === 'deaf') return;
    if (destination.onRelease === 'takes') {
      take(destination, move.grant.migrationId);
      return;
    }
    const incoming = destination.moves.get(move.grant.migrationId);
    if (incoming !== undefined) incoming.state = 'died';
  };
  const question = (id: string): MigrationReport => {
    const move = moveOf(id);
    if (move.role === MigrationRole.SOURCE && move.state === 'copying') {
      move.rounds += 1;
      if (host.copyRounds !== null && move.rounds >= host.copyRounds) release(move);
    }
    return report(move);
  };
  const methods = {
    getHost: async () =>
      create(GetHostResponseSchema, {
        hostId: host.id,
        hostName: host.name,
        bootId: host.bootId,
        factsJson: JSON.stringify({ ...fakeFacts(host.name), ...host.facts }),
        nowMs: Date.now() + (host.clockOffMs ?? 0),
      }),
    listGuests: async () =>
      create(ListGuestsResponseSchema, { bootId: host.bootId, guests: [...host.guests.keys()].map(guestReport), migrations: [] }),
    watch: async function* () {
      // No stream here: the workflows ask.
    },
    startGuest: async ({ grant, guest: wanted }: { grant?: Grant; guest?: Guest }) => {
      if (grant === undefined) throw refusal('BadRequest');
      const guest = host.guests.get(grant.serverId);
      obey(grant.serverId, grant.fence);
      if (guest !== undefined && guest.epoch === Number(grant.epoch) && guest.state === GuestState.RUNNING)
        return guestReport(grant.serverId);
      if (guest !== undefined && Math.max(guest.epoch, guest.refusedThrough ?? 0) >= Number(grant.epoch)) {
        throw refusal('custody-epoch-stale', 'stale', Math.max(guest.epoch, guest.refusedThrough ?? 0));
      }
      if (grant.destinationBootId !== host.bootId) throw refusal('custody-boot-changed');
      const memory = guest?.state === GuestState.SUSPENDED ? guest.epoch : 0;
      if (Number(grant.memoryEpoch) !== memory) throw refusal(memory === 0 ? 'custody-no-memory' : 'custody-copy-present');
      for (const { diskId, imageId, exists } of wanted?.disks ?? []) if (!exists) host.madeDisks.push({ diskId, imageId });
      host.guests.set(grant.serverId, {
        epoch: Number(grant.epoch),
        state: GuestState.RUNNING,
        fence: Number(grant.fence),
        ...(wanted === undefined
          ? {}
          : { deviceLayout: wanted.deviceLayout, vcpus: wanted.vcpus, ramMib: Number(wanted.ramMib + wanted.addedRamMib) }),
        // An agent that knows of none does not tell of any.
        ...(host.buildsGuestAgent === false ? {} : { guestAgent: wanted?.guestAgent ?? false }),
      });
      return guestReport(grant.serverId);
    },
    stopGuest: async ({ custody }: { custody?: Custody }) => {
      under(custody).state = GuestState.SHUTOFF;
      return guestReport(custody?.serverId ?? '');
    },
    pauseGuest: async ({ custody }: { custody?: Custody }) => {
      under(custody).state = GuestState.PAUSED;
      return guestReport(custody?.serverId ?? '');
    },
    unpauseGuest: async ({ custody }: { custody?: Custody }) => {
      under(custody).state = GuestState.RUNNING;
      return guestReport(custody?.serverId ?? '');
    },
    suspendGuest: async ({ custody, vcpus }: { custody?: Custody; vcpus?: number }) => {
      const known = host.guests.get(custody?.serverId ?? '');
      if (known?.state !== GuestState.SUSPENDED || known.epoch !== Number(custody?.epoch))
        Object.assign(under(custody), { state: GuestState.SUSPENDED, vcpus });
      return guestReport(custody?.serverId ?? '');
    },
    rebootGuest: async ({ custody }: { custody?: Custody }) => {
      under(custody).state = GuestState.RUNNING;
      return guestReport(custody?.serverId ?? '');
    },
    changeNics: async ({ custody, guest }: { custody?: Custody; guest?: Guest }) => {
      under(custody).nics = (guest?.nics ?? []).map(({ portId, slot }) => ({ portId, slot: slot ?? null }));
      return guestReport(custody?.serverId ?? '');
    },
    scaleGuest: async ({ custody, guest }: { custody?: Custody; guest?: Guest }) => {
      if (host.guests.get(custody?.serverId ?? '')?.state === GuestState.SUSPENDED) throw refusal('custody-not-stopped');
      under(custody).vcpus = guest?.vcpus ?? 0;
      return guestReport(custody?.serverId ?? '');
    },
    scaleMemory: async ({ custody, ramMib }: { custody?: Custody; ramMib?: bigint }) => {
      under(custody).ramMib = Number(ramMib ?? 0n);
      return guestReport(custody?.serverId ?? '');
    },
    syncGuestTime: async ({ custody }: { custody?: Custody }) => {
      if (host.guests.get(custody?.serverId ?? '')?.epoch !== Number(custody?.epoch)) throw refusal('custody-epoch-unknown');
      const fence = host.guests.get(custody?.serverId ?? '')?.fence ?? 0;
      if (Number(custody?.fence) < fence) throw refusal('custody-fence-low', 'low', 0, fence);
      const told = host.guestTimes.shift();
      if (told !== undefined) return create(SyncGuestTimeResponseSchema, told);
      return create(SyncGuestTimeResponseSchema, { outcome: 'set', driftBeforeMs: -21.5, driftAfterMs: 0.25, errorMs: 1.5 });
    },
    destroyGuest: async ({ custody, deleteDisks, guest }: { custody?: Custody; deleteDisks?: boolean; guest?: Guest }) => {
      const destroyed = destroyBelow(custody);
      if (deleteDisks === true) host.destroyedDisks.push(...(guest?.disks ?? []).map(({ diskId }) => diskId));
      return destroyed;
    },
    supersede: async ({ custody }: { custody?: Custody }) => {
      destroyBelow(custody);
      return guestReport(custody?.serverId ?? '');
    },
    prepareIncoming: async ({ grant, guest: wanted, policy }: { grant?: Grant; guest?: Guest; policy?: MigrationPolicy }) => {
      if (grant === undefined) throw refusal('BadRequest');
      obey(grant.serverId, grant.fence);
      const known = host.guests.get(grant.serverId);
      if (known !== undefined && known.epoch > Number(grant.epoch)) throw refusal('custody-epoch-stale');
      if (grant.destinationBootId !== host.bootId) throw refusal('custody-boot-changed');
      host.guests.set(grant.serverId, {
        epoch: Number(grant.epoch),
        state: GuestState.INCOMING,
        fence: Number(grant.fence),
        guestAgent: wanted?.guestAgent ?? false,
      });
      if (!host.moves.has(grant.migrationId)) {
        host.moves.set(grant.migrationId, {
          grant,
          state: 'listening',
          role: MigrationRole.DESTINATION,
          guest: GuestState.INCOMING,
          cause: '',
          taken: TakeAnswer.UNSPECIFIED,
          rounds: 0,
        });
      }
      return create(IncomingReadySchema, {
        migrationId: grant.migrationId,
        ramAddress: '10.0.0.2',
        ramPort: 49_152,
        machineType: 'pc-q35-10.0',
        cpuModel: 'max',
        preparedMs: 1,
        memoryStream: policy?.memoryStream ?? '',
      });
    },
    startOutgoing: async ({ grant, policy }: { grant?: Grant; policy?: MigrationPolicy }) => {
      if (grant === undefined) throw refusal('BadRequest');
      if (policy !== undefined) host.policies.push(policy);
      obey(grant.serverId, grant.fence);
      const known = host.moves.get(grant.migrationId);
      if (known !== undefined && known.grant.epoch >= grant.epoch) return report(known);
      if (!host.guests.has(grant.serverId)) throw refusal('ServerNotFound', `server ${grant.serverId} has no QEMU on this host`);
      const move: FakeMove = {
        grant,
        state: 'copying',
        role: MigrationRole.SOURCE,
        guest: GuestState.RUNNING,
        cause: '',
        taken: TakeAnswer.UNSPECIFIED,
        rounds: 0,
      };
      host.moves.set(grant.migrationId, move);
      return report(move);
    },
    measureDirty: async () =>
      create(MeasureDirtyResponseSchema, {
        measured: true,
        usedBytes: 100_000_000n,
        points: [
          { windowMs: 100, bytes: 1_000_000n },
          { windowMs: 1_000, bytes: 9_000_000n },
        ],
      }),
    setMigrationPolicy: async ({ migrationId, policy }: { migrationId?: string; policy?: MigrationPolicy }) => {
      if (policy !== undefined) host.policies.push(policy);
      // The guest is stopped: the copy comes to its end.
      if (policy?.forceComplete === true) host.copyRounds = 1;
      return report(moveOf(migrationId ?? ''));
    },
    getMigration: async ({ migrationId }: { migrationId?: string }) => report(moveOf(migrationId ?? '')),
    awaitMigration: async ({ migrationId }: { migrationId?: string }, options?: { signal?: AbortSignal }) => {
      const answer = question(migrationId ?? '');
      if (host.copyRounds === null && answer.state === 'copying')
        await new Promise<void>((resolve) => {
          const timer = setTimeout(resolve, 50);
          options?.signal?.addEventListener('abort', () => {
            clearTimeout(timer);
            resolve();
          });
        });
      return answer;
    },
    cancelOutgoing: async ({ grant }: { grant?: Grant }) => {
      if (grant === undefined) throw refusal('BadRequest');
      obey(grant.serverId, grant.fence);
      const known = host.moves.get(grant.migrationId);
      const here = host.guests.has(grant.serverId);
      const move = (known !== undefined && known.grant.epoch >= grant.epoch ? known : null) ?? {
        grant,
        state: here ? 'cancelled' : 'lost',
        role: MigrationRole.SOURCE,
        guest: here ? GuestState.RUNNING : GuestState.CRASHED,
        cause: '',
        taken: TakeAnswer.UNSPECIFIED,
        rounds: 0,
      };
      host.moves.set(grant.migrationId, move);
      if (move.state === 'copying') move.state = 'cancelled';
      return report(move);
    },
    forfeitIncoming: async ({ grant }: { grant?: Grant }) => {
      if (grant === undefined) throw refusal('BadRequest');
      obey(grant.serverId, grant.fence);
      const guest = host.guests.get(grant.serverId);
      const forfeited = (guest?.refusedThrough ?? 0) >= Number(grant.epoch);
      const took = guest !== undefined && guest.epoch === Number(grant.epoch) && guest.state !== GuestState.INCOMING && !forfeited;
      if (took) {
        const alive = guest.state === GuestState.RUNNING || guest.state === GuestState.PAUSED;
        const known = host.moves.get(grant.migrationId);
        // Whoever finds it out tells the record too.
        if (!alive && known !== undefined) known.taken = TakeAnswer.TOOK_DEAD;
        return create(ForfeitIncomingResponseSchema, { answer: alive ? TakeAnswer.TOOK_ALIVE : TakeAnswer.TOOK_DEAD });
      }
      // What the boot before has done, nobody can say any more.
      if (grant.destinationBootId !== host.bootId && !forfeited)
        return create(ForfeitIncomingResponseSchema, { answer: TakeAnswer.UNKNOWN });
      const other = guest !== undefined && guest.epoch !== Number(grant.epoch);
      if (other) guest.refusedThrough = Number(grant.epoch);
      else
        host.guests.set(grant.serverId, {
          epoch: 0,
          state: GuestState.SHUTOFF,
          fence: Number(grant.fence),
          refusedThrough: Number(grant.epoch),
        });
      const move = host.moves.get(grant.migrationId);
      if (move !== undefined) move.state = 'forfeited';
      return create(ForfeitIncomingResponseSchema, { answer: TakeAnswer.HAS_NOT_AND_FORFEITS });
    },
    resumeOutgoing: async ({ grant }: { grant?: Grant }) => {
      if (grant === undefined) throw refusal('BadRequest');
      obey(grant.serverId, grant.fence);
      const guest = host.guests.get(grant.serverId);
      const move = moveOf(grant.migrationId);
      if (guest?.state === GuestState.RELEASED) guest.state = move.guest = GuestState.RUNNING;
      return report(move);
    },
    relayRelease: async ({ release: relayed }: { release?: { migrationId?: string } }) => {
      take(host, relayed?.migrationId ?? '');
      return report(moveOf(relayed?.migrationId ?? ''));
    },
    finishIncoming: async ({ migrationId }: { migrationId?: string }) => report(moveOf(migrationId ?? '')),
    offerDisks: async ({ custody }: { custody?: Custody }) => {
      if (custody === undefined) throw refusal('BadRequest');
      obey(custody.serverId, custody.fence);
      return create(OfferDisksResponseSchema, { totalBytes: 4096n });
    },
    // The stream ends, or fails, as the call does: faults of it are thrown when it is made.
    fetchDisks: async function* ({ custody }: { custody?: Custody }) {
      await Promise.resolve();
      host.calls.push({ call: 'fetchDisks', fence: Number(custody?.fence ?? 0n) });
      const index = host.faults.findIndex((one) => one.call === 'fetchDisks');
      const [fault] = index === -1 ? [] : host.faults.splice(index, 1);
      if (host.down) throw silence();
      if (fault !== undefined) throw fault.error;
      yield create(FetchDisksProgressSchema, { copiedBytes: 1024n });
      yield create(FetchDisksProgressSchema, { copiedBytes: 4096n });
    },
    snapshotDisk: async function* ({ custody }: { custody?: Custody }) {
      await Promise.resolve();
      host.calls.push({ call: 'snapshotDisk', fence: Number(custody?.fence ?? 0n) });
      if (host.down) throw silence();
      if (host.snapshot === null) throw refusal('NoSpace', 'no space left for the copy');
      yield create(DiskChunkSchema, { offset: 0n, data: host.snapshot, fileBytes: BigInt(host.snapshot.length) });
      yield create(DiskChunkSchema, { offset: BigInt(host.snapshot.length), fileBytes: BigInt(host.snapshot.length) });
    },
    dropOutgoing: async ({ custody, deleteDisks, guest }: { custody?: Custody; deleteDisks?: boolean; guest?: Guest }) => {
      const dropped = destroyBelow(custody);
      if (deleteDisks === true) host.deletedDisks.push(...(guest?.disks ?? []).map(({ diskId }) => diskId));
      return dropped;
    },
  };
  const destroyBelow = (custody: Custody | undefined) => {
    if (custody === undefined) throw refusal('BadRequest');
    obey(custody.serverId, custody.fence);
    if (host.failingDrops > 0) {
      host.failingDrops -= 1;
      throw new ConnectError('no space left on device', Code.Internal, { 'godwit-code': 'Internal' });
    }
    const guest = host.guests.get(custody.serverId);
    if (guest !== undefined && guest.epoch >= Number(custody.epoch)) throw refusal('custody-epoch-not-newer');
    if (guest !== undefined) guest.state = GuestState.SHUTOFF;
    return create(DestroyGuestResponseSchema, { existed: guest !== undefined });
  };
  return new Proxy(methods as unknown as AgentClient, {
    get: (target, name: Call) => {
      const method = (target as unknown as Record<string, (...args: readonly unknown[]) => unknown>)[name];
      if (method === undefined) return undefined;
      if (name === 'watch' || name === 'fetchDisks' || name === 'snapshotDisk') return method;
      return async (request: { grant?: Grant; custody?: Custody }, ...rest: readonly unknown[]) => {
        if (host.down) {
          if (name === 'getHost') host.unanswered += 1;
          if (name === 'listGuests') host.unansweredLists += 1;
          throw silence();
        }
        host.calls.push({ call: name, fence: Number(request.grant?.fence ?? request.custody?.fence ?? 0n) });
        const index = host.faults.findIndex((one) => one.call === name);
        const fault = index === -1 ? undefined : host.faults[index];
        if (fault !== undefined) host.faults.splice(index, 1);
        if (fault?.when === 'before') throw fault.error;
        const answer = await method(request, ...rest);
        if (fault?.when === 'after') throw fault.error;
        return answer;
      };
    },
  });
}

function take(destination: FakeHost, migrationId: string): void {
  const move = destination.moves.get(migrationId);
  if (move === undefined || move.state === 'forfeited') return;
  const guest = destination.guests.get(move.grant.serverId);
  const state = move.grant.endState === EndState.PAUSED ? GuestState.PAUSED : GuestState.RUNNING;
  if (guest !== undefined && guest.state === GuestState.INCOMING) guest.state = state;
  move.state = 'running';
  move.guest = state;
  move.taken = TakeAnswer.TOOK_ALIVE;
}

/** What a host's journal would say of a fake guest. */
function fakeCustody(host: FakeHost, serverId: string, guest: FakeGuest | undefined): HostReport {
  const epoch = asEpoch(guest?.epoch ?? 0);
  const grant: CustodyGrant = {
    serverId: as<ServerId>(serverId),
    migrationId: null,
    source: null,
    destination: host.id,
    epoch,
    previousEpoch: epoch,
    fence: asFence(0),
    endState: 'running',
    bootId: as<BootId>(host.bootId),
    postCopy: false,
  };
  const alive = guest !== undefined && guest.state !== GuestState.SHUTOFF && guest.state !== GuestState.CRASHED;
  const moving = [...host.moves.values()].find((move) => move.grant.serverId === serverId && ['copying', 'listening'].includes(move.state));
  const moved: CustodyGrant | null =
    moving === undefined
      ? null
      : {
          ...grant,
          migrationId: as<MigrationId>(moving.grant.migrationId),
          source: as<HostId>(moving.grant.sourceHostId),
          destination: as<HostId>(moving.grant.destinationHostId),
          epoch: asEpoch(Number(moving.grant.epoch)),
          previousEpoch: asEpoch(Number(moving.grant.previousEpoch)),
          bootId: as<BootId>(moving.grant.destinationBootId),
        };
  const incoming = guest?.state === GuestState.INCOMING ? moved : null;
  const outgoing = moving?.state === 'copying' && moved !== null ? ({ phase: 'migrating', grant: moved } as const) : null;
  const process = { pid: 1, startTicks: 0 };
  return {
    kind: 'report',
    bootId: as<BootId>(host.bootId),
    knownEpoch: asEpoch(Math.max(guest?.epoch ?? 0, guest?.refusedThrough ?? 0)),
    knownFence: asFence(guest?.fence ?? 0),
    refusedThrough: asEpoch(guest?.refusedThrough ?? 0),
    forfeited: null,
    copy:
      guest === undefined || guest.epoch === 0
        ? { kind: 'none' }
        : incoming !== null
          ? { kind: 'granted', grant: incoming, process: null, released: false }
          : guest.state === GuestState.SUSPENDED
            ? { kind: 'suspended', grant, process }
            : { kind: 'held', grant, process, alive, settled: true, outgoing },
    floor: null,
  };
}
