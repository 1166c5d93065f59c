import { randomUUID } from 'node:crypto';
import type { MessageInitShape } from '@bufbuild/protobuf';
import { EndState, type GrantSchema } from '@godwit/contract/gen/custody_pb';
import type { DiskSchema, GuestSchema } from '@godwit/contract/gen/guest_pb';
import type { IncomingReady, MigrationReport } from '@godwit/contract/gen/migration_pb';
import type { MemoryStream } from '@godwit/domain/memory-stream';
import type { TestHost } from './two-hosts.ts';

export type GrantInit = MessageInitShape<typeof GrantSchema>;

/** Image ids that a test's controller part serves. */
export const kernelImage = 'cccccccc-0000-4000-8000-00000000000c';
export const ramdiskImage = 'dddddddd-0000-4000-8000-00000000000d';
export const diskImage = 'eeeeeeee-0000-4000-8000-00000000000e';

export type TestGuest = {
  readonly serverId: string;
  readonly address: string;
  readonly mac: string;
  readonly wire: MessageInitShape<typeof GuestSchema>;
  /** The last epoch burned, and the one that the guest runs under. */
  epoch: number;
  held: number;
  at: TestHost;
};

export const rootDisk = (pool: 'shared' | 'local', format: 'qcow2' | 'raw' = 'qcow2'): MessageInitShape<typeof DiskSchema> => ({
  diskId: 'root',
  pool,
  format,
  sizeBytes: 67_108_864n,
  imageId: diskImage,
  imageFormat: 'qcow2',
});

/** The disks that a move of the guest copies. */
export const localDisks = (guest: TestGuest): readonly string[] =>
  (guest.wire.disks ?? []).filter(({ pool }) => pool === 'local').map(({ diskId }) => diskId ?? '');

/** A demo guest: 96 MiB, one port, its writer's disk on the shared pool (unless `diskless`). */
export function testGuest(
  at: TestHost,
  options: {
    readonly number: number;
    readonly commandLine?: string;
    readonly diskless?: boolean;
    readonly ramMib?: number;
    /** With a channel for the guest agent, which the demo guest has. */
    readonly guestAgent?: boolean;
    /** Instead of the one disk on the shared pool; those in the pool `local` are copied by every move. */
    readonly disks?: readonly MessageInitShape<typeof DiskSchema>[];
  } = { number: 1 },
): TestGuest {
  const serverId = randomUUID();
  const address = `10.89.0.${10 + options.number}`;
  const mac = `52:54:00:89:00:${(10 + options.number).toString(16).padStart(2, '0')}`;
  return {
    serverId,
    address,
    mac,
    epoch: 0,
    held: 0,
    at,
    wire: {
      serverId,
      name: `guest-${options.number}`,
      hostname: `guest-${options.number}`,
      vcpus: 1,
      ramMib: BigInt(options.ramMib ?? 96),
      guestAgent: options.guestAgent ?? false,
      disks: options.diskless ? [] : [...(options.disks ?? [rootDisk('shared')])],
      nics: [{ portId: randomUUID(), networkId: randomUUID(), mac, fixedIps: [{ address, prefixLength: 24, gateway: '10.89.0.1' }] }],
      directBoot: {
        kernelImageId: kernelImage,
        ramdiskImageId: ramdiskImage,
        commandLine: `console=ttyS0 quiet ${options.commandLine ?? ''}`,
      },
    },
  };
}

/** What the controller would have done: burns an epoch and starts the guest under it, from the memory that was suspended under `memory` if it is given. */
export async function startTestGuest(guest: TestGuest, endState: EndState = EndState.RUNNING, memory = 0): Promise<void> {
  const grant = {
    serverId: guest.serverId,
    destinationHostId: guest.at.hostId,
    previousEpoch: BigInt(guest.held),
    epoch: BigInt(guest.epoch + 1),
    fence: 1n,
    endState,
    destinationBootId: guest.at.bootId,
    memoryEpoch: BigInt(memory),
  };
  guest.epoch += 1;
  await guest.at.client.startGuest({ grant, guest: guest.wire });
  guest.held = guest.epoch;
}

export type MoveOptions = {
  readonly networkSwitch?: boolean;
  readonly endState?: EndState;
  readonly downtimeLimitMs?: number;
  readonly maxBandwidthBytes?: number;
  readonly deadlineMs?: number;
  /** What the source steers by; without it, it does not. */
  readonly largestBlackoutMs?: number;
  readonly slowDownPercent?: number;
  readonly memoryStream?: MemoryStream;
};
export type Move = {
  readonly migrationId: string;
  readonly grant: GrantInit;
  readonly policy: Record<string, unknown>;
  readonly from: TestHost;
  readonly to: TestHost;
};

export function newMove(guest: TestGuest, to: TestHost, options: MoveOptions = {}): Move {
  const migrationId = randomUUID();
  const grant = {
    serverId: guest.serverId,
    migrationId,
    sourceHostId: guest.at.hostId,
    destinationHostId: to.hostId,
    previousEpoch: BigInt(guest.held),
    epoch: BigInt(guest.epoch + 1),
    fence: 1n,
    endState: options.endState ?? EndState.RUNNING,
    destinationBootId: to.bootId,
  };
  guest.epoch += 1;
  const policy = {
    networkSwitch: options.networkSwitch ?? true,
    downtimeLimitMs: BigInt(options.downtimeLimitMs ?? 30),
    maxBandwidthBytes: BigInt(options.maxBandwidthBytes ?? 0),
    deadlineMs: BigInt(options.deadlineMs ?? (options.largestBlackoutMs ? 60_000 : 0)),
    largestBlackoutMs: BigInt(options.largestBlackoutMs ?? 0),
    slowDownPercent: options.slowDownPercent ?? 0,
    memoryStream: options.memoryStream ?? '',
    blockMigration: localDisks(guest).length > 0,
    localDiskIds: [...localDisks(guest)],
  };
  return { migrationId, grant, policy, from: guest.at, to };
}

export const prepare = (guest: TestGuest, move: Move): Promise<IncomingReady> =>
  move.to.client.prepareIncoming({
    grant: move.grant,
    guest: guest.wire,
    policy: move.policy,
    source: { hostId: move.from.hostId, address: move.from.address, rpcPort: 8781 },
  });

export const start = (move: Move, ready: IncomingReady): Promise<MigrationReport> =>
  move.from.client.startOutgoing({
    grant: move.grant,
    ready,
    policy: move.policy,
    destination: { hostId: move.to.hostId, address: move.to.address, rpcPort: 8781 },
  });

export const custodyOf = (guest: TestGuest, epoch = guest.held) => ({ serverId: guest.serverId, epoch: BigInt(epoch), fence: 1n });

/** The process of the guest's QEMU on a host. Throws when there is none: 0 would be everything that runs this test. */
export async function qemuPid(host: TestHost, { serverId }: TestGuest): Promise<number> {
  const pid = (await host.client.listGuests({})).guests.find((one) => one.serverId === serverId)?.pid ?? 0;
  if (pid === 0) throw new Error(`${serverId} has no QEMU on ${host.name}`);
  return pid;
}

const transient = new Set(['armed', 'copying', 'pre-switchover', 'preparing', 'listening', 'loaded', 'taking']);

/** The report of one side once its state is terminal, or throws at the deadline with what it was last. */
export async function untilEnded(host: TestHost, migrationId: string, limitMs = 30_000): Promise<MigrationReport> {
  const until = performance.now() + limitMs;
  let state = '';
  while (performance.now() < until) {
    const report: MigrationReport = await host.client.awaitMigration({ migrationId, knownState: state, waitMs: 1_000n });
    if (!transient.has(report.state)) return report;
    state = report.state;
  }
  throw new Error(`migration ${migrationId} on ${host.name} is still ${state} after ${limitMs} ms`);
}

export type Moved = {
  readonly source: MigrationReport;
  readonly destination: MigrationReport;
  readonly blackoutMs: number;
  readonly ownShareMs: number;
  readonly firstMs: number;
  readonly lastMs: number;
  readonly prepareMs: number;
};

/** A whole move, as the controller drives it. The guest is at the destination when it resolves; throws when it did not arrive. */
export async function moveGuest(guest: TestGuest, to: TestHost, options: MoveOptions = {}): Promise<Moved> {
  const move = newMove(guest, to, options);
  const t0 = performance.now();
  const ready = await prepare(guest, move);
  const t1 = performance.now();
  await start(move, ready);
  const t2 = performance.now();
  const [source, taken] = await Promise.all([untilEnded(move.from, move.migrationId), untilEnded(to, move.migrationId)]);
  if (source.state !== 'released' || taken.state !== 'running')
    throw new Error(`source ${source.state} (${source.detail}), destination ${taken.state} (${taken.detail})`);
  guest.held = guest.epoch;
  const destination = await to.client.finishIncoming({ custody: custodyOf(guest), migrationId: move.migrationId });
  await move.from.client.dropOutgoing({
    custody: custodyOf(guest),
    migrationId: move.migrationId,
    guest: guest.wire,
    deleteDisks: localDisks(guest).length > 0,
  });
  const t3 = Date.now();
  guest.at = to;
  const offset = source.clockOffsetMs;
  return {
    source,
    destination,
    firstMs: t2 - t0,
    prepareMs: t1 - t0,
    lastMs: t3 - destination.resumedAtMs,
    blackoutMs: destination.resumedAtMs - offset - source.stoppedAtMs,
    ownShareMs: destination.resumedAtMs - offset - source.completedAtMs,
  };
}
