import { mkdir, mkdtemp, readFile, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { dirname, join } from 'node:path';
import type { Grant } from '@godwit/domain/custody/grant';
import { as, asEpoch, asFence, type HostId, type MigrationId, type ServerId } from '@godwit/domain/ids';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import type { MigrationStore } from '../../migration/migration-store.ts';
import { runDir } from '../../qemu/run-dir.ts';
import { cephPool } from '../../storage/ceph-pool.ts';
import { diskPath } from '../../storage/disk-store.ts';
import type { Pool } from '../../storage/pool.ts';
import { fakeRbd } from '../../testing/fake-rbd.ts';
import type { IncomingReady, MigrationPolicy, PeerAddress } from '../host-driver.ts';
import type { WantedGuest } from '../wanted-guest.ts';
import { Moves } from './moves.ts';
import type { QemuHost } from './qemu-host.ts';

const [source, destination] = [as<HostId>('33333333-3333-4333-8333-333333333333'), as<HostId>('44444444-4444-4444-8444-444444444444')];
const grant = {
  serverId: as<ServerId>('11111111-1111-4111-8111-111111111111'),
  migrationId: as<MigrationId>('22222222-2222-4222-8222-222222222222'),
  source,
  destination,
  epoch: asEpoch(2),
  previousEpoch: asEpoch(1),
  fence: asFence(9),
} as unknown as Grant;
const policy = { blockMigration: false } as MigrationPolicy;
const peer = (hostId: HostId): PeerAddress => ({ hostId }) as PeerAddress;

/** A host on which only its facts can be read, and in which QEMU its guests run: whatever touches custody, disks or the network throws another error. */
const factsOnly = (
  hostId: HostId,
  version: string,
  accelerator: 'tcg' | 'kvm',
  runningIn = version,
  blocked: readonly string[] = [],
): QemuHost => {
  const qmp = {
    qemuVersion: runningIn,
    execute: async (command: string) => (command === 'qom-list' ? [] : blocked.length === 0 ? {} : { 'blocked-reasons': blocked }),
  };
  const guests = { process: () => ({ qmp, spec: { disks: [], nics: [], deviceLayout: 1 } }) };
  return new Proxy({ hostId, capabilities: { version }, defaults: { accelerator }, guests, log: null } as unknown as QemuHost, {
    get(facts, name) {
      if (name in facts) return facts[name as keyof QemuHost];
      throw new Error(`touched ${String(name)}`);
    },
  });
};
const store = new Proxy({} as MigrationStore, {
  get: (_target, name) => {
    throw new Error(`touched the store: ${String(name)}`);
  },
});
const prepare = (version: string, accelerator: 'tcg' | 'kvm') =>
  new Moves(factsOnly(destination, version, accelerator), store).prepare(grant, {} as WantedGuest, policy, peer(source));
const start = (version: string, accelerator: 'tcg' | 'kvm', runningIn?: string) =>
  new Moves(factsOnly(source, version, accelerator, runningIn), store).start(grant, {} as IncomingReady, policy, peer(destination));

describe.each([
  ['the destination', prepare],
  ['the source', start],
] as const)('%s', (_side, begin) => {
  test('refuses a move with a QEMU that loses pages under TCG, before anything changes', async () => {
    await expect(begin('7.2.22', 'tcg')).rejects.toMatchObject({
      code: 'ForbiddenCombination',
      message: expect.stringContaining('QEMU 7.2.22 under tcg'),
    });
  });

  test.each([
    ['10.0.2', 'tcg'],
    ['7.2.22', 'kvm'],
  ] as const)('goes on with %s under %s', async (version, accelerator) => {
    await expect(begin(version, accelerator)).rejects.toThrow(/touched/);
  });
});

test('a source is judged by the QEMU that the guest runs in, not by the one installed since', async () => {
  await expect(start('10.0.2', 'tcg', '7.2.22')).rejects.toMatchObject({
    code: 'ForbiddenCombination',
    message: expect.stringContaining('QEMU 7.2.22 under tcg'),
  });
  await expect(start('7.2.22', 'tcg', '10.0.2')).rejects.toThrow(/touched/);
});

test('a source refuses to move a guest with a passed-through device, by its name, before anything changes', async () => {
  const reason = '0000:01:00.0: VFIO migration is not supported in kernel';
  const host = factsOnly(source, '10.0.2', 'kvm', '10.0.2', [reason]);
  await expect(new Moves(host, store).start(grant, {} as IncomingReady, policy, peer(destination))).rejects.toMatchObject({
    code: 'DeviceCannotMove',
    message: expect.stringContaining(reason),
  });
});

describe('an order to delete what an earlier move has left', () => {
  const { serverId } = grant;
  const before = { serverId, epoch: asEpoch(2), fence: asFence(8) };
  const earlier = as<MigrationId>('55555555-5555-4555-8555-555555555555');
  let dir: string;
  beforeEach(async () => {
    dir = await mkdtemp(join(tmpdir(), 'gw-moves-'));
  });
  afterEach(() => rm(dir, { recursive: true, force: true }));
  const pool = (): Pool => ({ name: 'local', kind: 'local', path: dir, poolId: 'local', io: { directIo: true } });
  const wanted = (disks: readonly string[]): WantedGuest =>
    ({
      serverId,
      nics: [],
      disks: disks.map((diskId) => ({ diskId, pool: 'local', format: 'raw', sizeBytes: 512, image: null })),
      configDrive: [{ path: 'openstack/latest/meta_data.json', content: '{}' }],
    }) as unknown as WantedGuest;

  /** A host whose network goes down only when it is let, and on which nothing comes up. */
  const hostThat = (leave: () => Promise<void>, granted: () => void, admit: () => Promise<void>): QemuHost =>
    ({
      hostId: destination,
      config: { stateDir: dir, bridge: { name: 'br' } },
      capabilities: { version: '10.0.2' },
      defaults: { accelerator: 'tcg', machineType: 'q35', cpuModel: 'max' },
      pools: new Map([['local', pool()]]),
      guests: { process: () => null, spec: () => null, forget: () => {}, tell: () => {} },
      events: { emit: () => {}, migration: () => {} },
      clock: { nowMs: () => 0, anchor: () => {} },
      precedence: { ofAgent: () => () => {} },
      ports: { hold: () => {}, giveBack: () => {} },
      networks: { leave, admit },
      dhcp: null,
      tools: {},
      log: { warn: () => {} },
      custody: {
        state: () => ({ copy: { kind: 'none' } }),
        feed: async (_server: ServerId, event: { readonly kind: string }) => {
          if (event.kind === 'grant') granted();
          return [];
        },
      },
    }) as unknown as QemuHost;
  const quietStore = { write: async () => {} } as unknown as MigrationStore;

  test('that came just before a grant has ended before anything is made here under the grant', async () => {
    const did: string[] = [];
    const held = Promise.withResolvers<void>();
    const reached = Promise.withResolvers<void>();
    const drive = runDir(dir, serverId).configDrive;
    const host = hostThat(
      async () => {
        reached.resolve();
        await held.promise;
        did.push('network left');
      },
      () => void moves.drop(before, earlier, false, wanted([])),
      async () => {
        did.push(
          `admitted, ${await readFile(drive).then(
            () => 'with its drive',
            () => 'without its drive',
          )}`,
        );
        throw new Error('as far as this goes');
      },
    );
    const moves: Moves = new Moves(host, quietStore);
    const preparing = moves.prepare(grant, wanted([]), { ...policy, localDiskIds: [] } as unknown as MigrationPolicy, peer(source));
    const failed = preparing.catch((error: Error) => error.message);
    await reached.promise;
    await new Promise(setImmediate);
    expect(did).toEqual([]);
    held.resolve();
    expect(await failed).toBe('as far as this goes');
    expect(did.slice(0, 2)).toEqual(['network left', 'admitted, with its drive']);
  });

  test('is answered when they are gone, and fails with what kept one', async () => {
    const held = Promise.withResolvers<void>();
    const moves = new Moves(
      hostThat(
        () => held.promise,
        () => {},
        async () => {},
      ),
      quietStore,
    );
    const path = diskPath(pool(), serverId, 'root', 'raw');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'left');
    let answered = false;
    const dropping = moves.drop(before, earlier, true, wanted(['root'])).then(() => {
      answered = true;
    });
    await new Promise(setImmediate);
    expect(answered).toBe(false);
    held.resolve();
    await dropping;
    await expect(readFile(path)).rejects.toMatchObject({ code: 'ENOENT' });
    // What is no file cannot be deleted as one.
    await mkdir(path, { recursive: true });
    await expect(moves.drop(before, earlier, true, wanted(['root']))).rejects.toThrow();
  });

  test('deletes copies alone: never what is in a shared pool, be it a file or an image of a cluster', async () => {
    const rbd = await fakeRbd();
    try {
      const ceph = cephPool({ pool: 'vms' });
      const shared: Pool = { ...pool(), name: 'shared', kind: 'shared', path: join(dir, 'shared') };
      const pools = new Map([pool(), shared, { ...shared, name: 'ceph', path: join(dir, 'ceph'), ceph }].map((one) => [one.name, one]));
      const host = {
        ...hostThat(
          async () => {},
          () => {},
          async () => {},
        ),
        pools,
      };
      const forfeiting = {
        ...host,
        tools: { ip: async () => [] },
        custody: { ...host.custody, feed: async () => [{ kind: 'forfeited', epoch: grant.epoch }] },
      } as unknown as QemuHost;
      const guest = {
        ...wanted([]),
        disks: [...pools.keys()].map((name) => ({ diskId: 'root', pool: name, format: 'raw', sizeBytes: 512, image: null }) as const),
      };
      const [copy, kept] = [diskPath(pool(), serverId, 'root', 'raw'), diskPath(shared, serverId, 'root', 'raw')];
      const orders = {
        dropOutgoing: () => new Moves(host, quietStore).drop(before, earlier, true, guest),
        forfeitIncoming: async () => {
          const { answer } = await new Moves(forfeiting, quietStore).forfeit(grant, true, guest);
          expect(answer).toBe('has-not-and-forfeits');
        },
      };
      for (const order of Object.values(orders)) {
        for (const path of [copy, kept]) {
          await mkdir(dirname(path), { recursive: true });
          await writeFile(path, 'a disk');
        }
        await order();
        await expect(readFile(copy)).rejects.toMatchObject({ code: 'ENOENT' });
        expect(await readFile(kept, 'utf8')).toBe('a disk');
        expect(await rbd.calls()).toEqual([]);
      }
    } finally {
      await rbd.close();
    }
  });

  test('deletes nothing in a pool that is not open, and never says that it did', async () => {
    const quiet = hostThat(
      async () => {},
      () => {},
      async () => {},
    );
    let killed = 0;
    const feed = async (_server: ServerId, event: { readonly kind: string }) => {
      if (event.kind === 'destroy') killed++;
      return event.kind === 'forfeit' ? [{ kind: 'forfeited', epoch: grant.epoch }] : [];
    };
    const host = {
      ...quiet,
      pools: new Map(),
      tools: { ip: async () => [] },
      guests: { process: () => null, spec: () => ({ nics: [] }), forget: () => {}, tell: () => {} },
      custody: { ...quiet.custody, feed },
    } as unknown as QemuHost;
    const path = diskPath(pool(), serverId, 'root', 'raw');
    await mkdir(dirname(path), { recursive: true });
    await writeFile(path, 'left');
    const unavailable = { code: 'PoolUnavailable' };
    await expect(new Moves(host, quietStore).drop(before, earlier, true, wanted(['root']))).rejects.toMatchObject(unavailable);
    expect(killed).toBe(1);
    await expect(new Moves(host, quietStore).forfeit(grant, true, wanted(['root']))).rejects.toMatchObject(unavailable);
    expect(await readFile(path, 'utf8')).toBe('left');
    // Who asks for no deletion is not held up.
    await new Moves(host, quietStore).drop(before, earlier, false, wanted(['root']));
  });
});
