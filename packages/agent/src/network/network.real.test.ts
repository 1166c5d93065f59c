import { execFileSync, spawn } from 'node:child_process';
import { once } from 'node:events';
import { endOf, lastLines } from '@godwit/contract/testing/last-words';
import { as, type PortId } from '@godwit/domain/ids';
import { afterEach, beforeEach, describe, expect, test, vi } from 'vitest';
import { forget, lookUp, pointAt } from './forwarding.ts';
import { ensureBridge } from './guest-bridge.ts';
import { findLink } from './link.ts';
import { networkTools } from './network-tools.ts';
import { deleteTap, ensureTap, listTaps, setTapOpen, sweepTaps, tapName } from './tap.ts';

const netns = `gwqnet${process.pid}`;
const tools = networkTools(['ip', 'netns', 'exec', netns]);
const inside = (...args: string[]): string => execFileSync('ip', ['netns', 'exec', netns, ...args], { encoding: 'utf8' });
const tap = tapName(as<PortId>('0a1b2c3d-0000-4000-8000-000000000000'));
const request = { name: tap, bridge: 'br0', mtu: 1450, open: true } as const;

beforeEach(() => {
  execFileSync('ip', ['netns', 'add', netns]);
});
afterEach(() => {
  execFileSync('ip', ['netns', 'del', netns]);
});

describe('the guest bridge', () => {
  test('is made once, with its uplink and that one’s MTU, and repeating changes nothing', async () => {
    inside('ip', 'link', 'add', 'up0', 'mtu', '1450', 'type', 'veth', 'peer', 'name', 'far0');
    await ensureBridge(tools, { name: 'br0', uplink: 'up0' });
    const first = await findLink(tools, 'br0');
    expect(first).toMatchObject({ kind: 'bridge', up: true, mtu: 1450 });
    expect(await findLink(tools, 'up0')).toMatchObject({ master: 'br0', up: true });
    await ensureBridge(tools, { name: 'br0', uplink: 'up0' });
    expect(await findLink(tools, 'br0')).toEqual({ ...first, carrier: expect.any(Boolean) });
    expect(inside('ip', '-6', 'addr', 'show', 'dev', 'br0')).toBe('');
  });

  test('is refused when the uplink is absent, belongs elsewhere, or the name is taken', async () => {
    await expect(ensureBridge(tools, { name: 'br0', uplink: 'none0' })).rejects.toMatchObject({
      code: 'NetworkSetupFailed',
      message: expect.stringMatching(/none0/),
    });
    inside('ip', 'link', 'add', 'up0', 'type', 'veth', 'peer', 'name', 'far0');
    inside('ip', 'link', 'add', 'br9', 'type', 'bridge');
    inside('ip', 'link', 'set', 'up0', 'master', 'br9');
    await expect(ensureBridge(tools, { name: 'br0', uplink: 'up0' })).rejects.toMatchObject({
      message: expect.stringMatching(/belongs to bridge br9/),
    });
    expect((await findLink(tools, 'up0'))?.master).toBe('br9');
    await expect(ensureBridge(tools, { name: 'far0' })).rejects.toMatchObject({ message: expect.stringMatching(/is no bridge/) });
  });
});

describe('taps', () => {
  beforeEach(() => ensureBridge(tools, { name: 'br0' }));

  test('persist, are ports of the bridge with our settings, and can be asked for twice, also at once', async () => {
    await Promise.all([ensureTap(tools, request), ensureTap(tools, request)]);
    await ensureTap(tools, request);
    expect(await listTaps(tools)).toEqual([
      { name: tap, mac: expect.any(String), mtu: 1450, master: 'br0', up: true, carrier: false, kind: 'tun', txQueueLength: 1000 },
    ]);
  });

  test('can be closed to flooded frames and opened again; QEMU’s opening does not change that', async () => {
    await ensureTap(tools, { ...request, open: false });
    const flags = async (): Promise<unknown> => ((await tools.bridge('-d', 'link', 'show', 'dev', tap)) as readonly unknown[])[0];
    const closed = { learning: false, flood: false, mcast_flood: false, bcast_flood: false };
    expect(await flags()).toMatchObject(closed);
    const qemu = await holdOpen();
    try {
      expect(await findLink(tools, tap)).toMatchObject({ carrier: true });
      expect(await flags()).toMatchObject(closed);
      await setTapOpen(tools, tap, true);
      expect(await flags()).toMatchObject({ learning: true, flood: true, mcast_flood: true, bcast_flood: true });
      expect(await sweepTaps(tools, new Set())).toEqual([]);
    } finally {
      qemu.kill('SIGKILL');
      await once(qemu, 'exit');
    }
  });

  test('that nobody knows are swept; known ones and strangers are not', async () => {
    const other = 'gtffffffff';
    await ensureTap(tools, request);
    await ensureTap(tools, { ...request, name: other });
    inside('ip', 'tuntap', 'add', 'dev', 'gtstranger', 'mode', 'tap');
    expect(await sweepTaps(tools, new Set([tap]))).toEqual([other]);
    expect((await listTaps(tools)).map((one) => one.name)).toEqual([tap]);
    expect(await findLink(tools, 'gtstranger')).toBeDefined();
  });

  test('are deleted once and again; nothing else can be', async () => {
    await ensureTap(tools, request);
    await deleteTap(tools, tap);
    await deleteTap(tools, tap);
    expect(await listTaps(tools)).toEqual([]);
    await expect(deleteTap(tools, 'br0')).rejects.toMatchObject({ code: 'BadRequest' });
  });

  test('for a bridge that does not exist are refused and leave nothing', async () => {
    await expect(ensureTap(tools, { ...request, bridge: 'br7' })).rejects.toMatchObject({ code: 'NetworkSetupFailed' });
    expect(await listTaps(tools)).toEqual([]);
  });

  test('take forwarding entries, learned ones only while held open', async () => {
    await ensureTap(tools, request);
    const mac = 'fa:16:3e:00:00:01';
    expect(await lookUp(tools, 'br0', mac)).toBeUndefined();
    await expect(pointAt(tools, mac, tap, 'learned')).rejects.toMatchObject({
      code: 'NetworkSetupFailed',
      said: expect.stringMatching(/not permitted/),
    });
    await pointAt(tools, mac, tap, 'static');
    expect(await lookUp(tools, 'br0', mac)).toEqual({ mac, port: tap, state: 'static' });
    await forget(tools, mac, tap);
    await forget(tools, mac, tap);
    expect(await lookUp(tools, 'br0', mac)).toBeUndefined();
    const qemu = await holdOpen();
    try {
      // The bridge hears of the carrier a little later than the tap has it.
      await vi.waitFor(() => pointAt(tools, mac, tap, 'learned'), { timeout: 15_000, interval: 20 });
      expect(await lookUp(tools, 'br0', mac)).toEqual({ mac, port: tap, state: 'learned' });
    } finally {
      qemu.kill('SIGKILL');
      await once(qemu, 'exit');
    }
  });
});

/** A QEMU without a machine holds the tap open, as a guest's would. */
async function holdOpen(): Promise<ReturnType<typeof spawn>> {
  const qemu = spawn(
    'ip',
    [
      'netns',
      'exec',
      netns,
      'qemu-system-x86_64',
      '-machine',
      'none',
      '-nodefaults',
      '-display',
      'none',
      '-netdev',
      `tap,id=t,ifname=${tap},script=no,downscript=no`,
    ],
    { stdio: ['ignore', 'ignore', 'pipe'] },
  );
  let words = '';
  qemu.stderr.setEncoding('utf8').on('data', (text: string) => {
    words += text;
  });
  const until = performance.now() + 15_000;
  while (!(await findLink(tools, tap))?.carrier) {
    if (performance.now() > until) {
      qemu.kill('SIGKILL');
      throw new Error(`QEMU did not open the tap; it ${endOf(qemu)} and said: ${lastLines(words)}`);
    }
  }
  return qemu;
}
