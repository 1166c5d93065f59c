import { execFileSync } from 'node:child_process';
import { chmodSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import type { GuestSpec } from '@godwit/domain/guest-spec';
import { as } from '@godwit/domain/ids';
import { afterEach, beforeEach, describe, expect, test } from 'vitest';
import { throwawayGate } from '../custody/throwaway-gate.ts';
import { ensureBridge } from '../network/guest-bridge.ts';
import { findLink } from '../network/link.ts';
import { networkTools } from '../network/network-tools.ts';
import { ensureTap } from '../network/tap.ts';
import { createDisk } from '../storage/disk-store.ts';
import { openPool } from '../storage/pool.ts';
import { bootDiskBytes, bootSector, readLetters } from './boot-sector.ts';
import { readConsole } from './console-log.ts';
import { type GuestProcess, startGuest } from './guest-process.ts';
import { awaitLetters } from './letters.ts';
import type { QmpEvent } from './qmp-client.ts';
import { throwawayId } from './throwaway-guest.ts';

const hosts = [`gwqa${process.pid}`, `gwqb${process.pid}`] as const;
type Host = (typeof hosts)[number];
const tap = 'gt0a1b2c3d';
let root: string;
let spec: GuestSpec;
const guests: GuestProcess[] = [];

/** Two hosts as namespaces with a tap each, one pool that both see, and a guest with a writable overlay on it, a port and a console there. */
beforeEach(async () => {
  root = mkdtempSync('/tmp/gw-m-');
  for (const host of hosts) {
    execFileSync('ip', ['netns', 'add', host]);
    mkdirSync(`${root}/${host}`);
    writeFileSync(`${root}/${host}/qemu`, `#!/bin/sh\nexec ip netns exec ${host} qemu-system-x86_64 "$@"\n`);
    chmodSync(`${root}/${host}/qemu`, 0o755);
    const tools = networkTools(['ip', 'netns', 'exec', host]);
    await ensureBridge(tools, { name: 'br0' });
    await ensureTap(tools, { name: tap, bridge: 'br0', mtu: 1450, open: host === hosts[0] });
  }
  mkdirSync(`${root}/pool`);
  const pool = await openPool({ name: 'pool', kind: 'shared', path: `${root}/pool` });
  const image = `${root}/pool/images/boot.raw`;
  writeFileSync(image, Buffer.concat([bootSector(), Buffer.alloc(bootDiskBytes - 512)]));
  const serverId = throwawayId();
  const root0 = await createDisk(pool, {
    serverId,
    diskId: 'root',
    format: 'qcow2',
    sizeBytes: 8 * 1024 * 1024,
    image: { path: image, format: 'raw', virtualSizeBytes: bootDiskBytes },
  });
  const data = await createDisk(pool, { serverId, diskId: 'data', format: 'raw', sizeBytes: 1024 * 1024 });
  spec = {
    serverId,
    name: 'mover',
    vcpus: 1,
    ramMib: 32,
    machineType: 'pc-q35-10.0',
    cpuModel: 'Nehalem-v1',
    accelerator: 'tcg',
    deviceLayout: 1,
    disks: [root0, data],
    nics: [{ portId: as('p'), mac: 'fa:16:3e:00:00:01', tapName: tap, networkId: as('n'), mtu: 1450 }],
    graphics: 'vnc',
    balloon: true,
    consoleDir: `${root}/pool/console`,
  };
});
afterEach(async () => {
  for (const guest of guests.splice(0)) await throwawayGate.discard(guest);
  for (const host of hosts) execFileSync('ip', ['netns', 'del', host]);
  rmSync(root, { recursive: true });
});

const start = async (host: Host, epoch: number, incoming: boolean, imageLocking = true): Promise<GuestProcess> => {
  const guest = await startGuest(spec, {
    qemuBinary: `${root}/${host}/qemu`,
    stateDir: `${root}/${host}`,
    epoch,
    incoming,
    imageLocking,
    sandbox: true,
    vhostNet: false,
    tls: [],
    deadlineMs: 10_000,
  });
  guests.push(guest);
  return guest;
};
const migration = (event: QmpEvent, ...statuses: readonly string[]): boolean =>
  event.event === 'MIGRATION' && statuses.includes(String(event.data['status']));

describe('a guest with disks, a port, graphics and a balloon', () => {
  test('moves with image locks on; both sides agree on every device; its console log goes on', async () => {
    const source = await start(hosts[0], 1, false);
    await throwawayGate.run(source);
    await awaitLetters(source, 4, 10_000);
    // Locks work: a second QEMU that would run on the same disks is refused …
    await expect(start(hosts[1], 9, false)).rejects.toMatchObject({ code: 'GuestStartFailed', message: expect.stringMatching(/lock/) });
    // … one that waits for a stream opens them late.
    const destination = await start(hosts[1], 2, true);
    expect(await findLink(networkTools(['ip', 'netns', 'exec', hosts[1]]), tap)).toMatchObject({ carrier: true, mtu: 1450 });
    for (const side of [source, destination]) {
      const capabilities = ['events', 'return-path', 'pause-before-switchover', 'late-block-activate'].map((capability) => ({
        capability,
        state: true,
      }));
      await side.qmp.execute('migrate-set-capabilities', { capabilities });
    }
    await destination.qmp.execute('migrate-incoming', { uri: `unix:${root}/ram.sock` });
    const paused = source.qmp.next((event) => migration(event, 'pre-switchover', 'failed'), 20_000);
    const ended = source.qmp.next((event) => migration(event, 'completed', 'failed'), 20_000);
    const loaded = destination.qmp.next((event) => migration(event, 'completed', 'failed'), 20_000);
    await throwawayGate.migrate(source, { uri: `unix:${root}/ram.sock` });
    expect((await paused).data['status']).toBe('pre-switchover');
    await throwawayGate.migrateContinue(source);
    expect([(await ended).data['status'], (await loaded).data['status']]).toEqual(['completed', 'completed']);
    expect(await destination.qmp.execute('query-status')).toMatchObject({ status: 'paused' });
    const text = async (): Promise<string> => (await readConsole(`${root}/pool/console`, 1024 * 1024, 0)).toString();
    const before = (await text()).length;
    await throwawayGate.run(destination);
    const until = performance.now() + 10_000;
    while ((await text()).length < before + 16) {
      if (performance.now() > until) throw new Error('the guest does not go on');
      await new Promise((resolve) => setTimeout(resolve, 5));
    }
    expect(readLetters(await text())).toMatchObject({ kind: 'whole' });
    expect(await source.qmp.execute('query-status')).toMatchObject({ status: 'postmigrate' });
    // The disks are the destination's now.
    await throwawayGate.discard(source);
    guests.splice(guests.indexOf(source), 1);
    await expect(start(hosts[0], 3, false)).rejects.toMatchObject({ message: expect.stringMatching(/lock/) });
  });

  test('without image locks a second copy is not refused: they can be switched off for custody’s tests only', async () => {
    await start(hosts[0], 1, false, false);
    await start(hosts[1], 2, false, false);
    expect(guests).toHaveLength(2);
  });
});
