import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { expect, test } from 'vitest';
import { keepsVlans } from '../drivers/qemu/host-probe.ts';
import { ensureBridge } from './guest-bridge.ts';
import { NetworkToolError, type NetworkTools } from './network-tools.ts';
import { demandVlan, ensureTap } from './tap.ts';

/* What the kernel is told, and in which order. That a kernel with these bridges keeps VLANs apart is not these tests' to show: docs/networks.md says what was seen. */

const tap = 'gt0a1b2c3d';

/** Answers as a host whose bridge looks at tags or not, and remembers what it was told. */
function recorded(
  filtering: boolean,
  refuses = false,
  has: {
    readonly bridge?: object;
    readonly ports?: Readonly<Record<string, readonly object[]>>;
    readonly above?: readonly object[];
    readonly links?: readonly object[];
    readonly master?: string;
  } = {},
): { readonly tools: NetworkTools; readonly said: string[] } {
  const said: string[] = [];
  const tools: NetworkTools = {
    ip: async (...args) => {
      const line = args.join(' ');
      if (line === `-d link show dev ${tap}` || (line.endsWith('gwovs0') && !said.some((one) => one.includes('gwovs0'))))
        throw new NetworkToolError(line, 'Device does not exist.', null);
      if (line === '-d link show type vlan') return has.above ?? [];
      if (line === '-d link show') return has.links ?? [];
      if (args[0] === '-d')
        return [
          {
            ifname: args.at(-1),
            mtu: 1500,
            flags: ['UP'],
            ...(args.at(-1) === 'br0' ? {} : { master: has.master }),
            linkinfo: {
              info_kind: args.at(-1) === 'gwovs0' ? 'veth' : 'bridge',
              info_data: { vlan_filtering: filtering ? 1 : 0, vlan_default_pvid: 1, ...has.bridge },
            },
          },
        ];
      if (refuses && line.includes('vlan_filtering')) throw new NetworkToolError(line, 'RTNETLINK answers: Operation not supported', null);
      said.push(`ip ${line}`);
      return null;
    },
    bridge: async (...args) => {
      if (args[1] === 'show')
        return [{ ifname: args[3], vlans: has.ports?.[args[3] ?? ''] ?? [{ vlan: 1, flags: ['PVID', 'Egress Untagged'] }] }];
      said.push(`bridge ${args.join(' ')}`);
      return null;
    },
    vsctl: async (...args) => {
      if (args[0] === 'br-exists' && args[1] !== 'br-ex') throw new NetworkToolError('ovs-vsctl', 'Command failed', { code: 2 });
      said.push(`ovs-vsctl ${args.join(' ')}`);
      return null;
    },
  };
  return { tools, said };
}

test('a tap is a port of its VLAN alone before it is up', async () => {
  const { tools, said } = recorded(true);
  await ensureTap(tools, { name: tap, bridge: 'br0', mtu: 1500, open: false, vlan: 101 });
  const place = (line: string): number => said.findIndex((one) => one.startsWith(line));
  const order = [
    place(`ip link set dev ${tap} master br0`),
    place(`bridge vlan del dev ${tap} vid 1`),
    place(`bridge vlan add dev ${tap} vid 101 pvid untagged`),
    place(`ip link set dev ${tap} up`),
  ];
  expect(order).toEqual(order.toSorted((a, b) => a - b));
  expect(order).not.toContain(-1);
});

test('on a bridge that does not look at tags the port is refused, and its tap goes', async () => {
  const { tools, said } = recorded(false);
  await expect(ensureTap(tools, { name: tap, bridge: 'br0', mtu: 1500, open: true, vlan: 101 })).rejects.toThrow(
    /vlan_filtering is off.*VLAN 101/,
  );
  expect(said.at(-1)).toBe(`ip link del dev ${tap}`);
  expect(() => demandVlan({ name: 'br0' }, 101)).toThrow(
    /br0 of this host carries no VLANs \(bridge\.vlans\), and the network is VLAN 101/,
  );
  expect(() => demandVlan({ name: 'br0' }, undefined)).not.toThrow();
});

test('a bridge that carries VLANs has them all on its uplink; a kernel that knows none is named', async () => {
  const { tools, said } = recorded(true);
  await ensureBridge(tools, { name: 'br0', uplink: 'up0', vlans: true });
  expect(said).toContain('ip link set dev br0 type bridge vlan_filtering 1');
  expect(said).toContain('bridge vlan add dev up0 vid 2-4094');
  await expect(ensureBridge(recorded(true, true).tools, { name: 'br0', uplink: 'up0', vlans: true })).rejects.toMatchObject({
    code: 'NetworkSetupFailed',
    message: expect.stringMatching(/CONFIG_BRIDGE_VLAN_FILTERING.*bridge\.vlans/),
  });
  const plain = recorded(false);
  await ensureBridge(plain.tools, { name: 'br0', uplink: 'up0' });
  expect(plain.said.filter((line) => line.includes('vlan'))).toEqual([]);
});

test('an Open vSwitch bridge that is there is the uplink, by a cable; one that is not is never made', async () => {
  const { tools, said } = recorded(true);
  await ensureBridge(tools, { name: 'br0', openvswitch: 'br-ex', vlans: true });
  const place = (line: string): number => said.findIndex((one) => one.startsWith(line));
  expect(said).toContain('ovs-vsctl --may-exist add-port br-ex gwovs1');
  expect(said).toContain('ip link set dev gwovs0 master br0');
  expect(said).toContain('bridge vlan add dev gwovs0 vid 2-4094');
  expect(place('ip link add name gwovs0')).toBeLessThan(place('ovs-vsctl --may-exist'));
  const none = recorded(true);
  await expect(ensureBridge(none.tools, { name: 'br0', openvswitch: 'br-none' })).rejects.toMatchObject({
    code: 'NetworkSetupFailed',
    message: expect.stringMatching(/Open vSwitch bridge br-none cannot be used: there is none of this name/),
  });
  expect(none.said).toEqual([]);
});

const untagged = { vlan: 1, flags: ['PVID', 'Egress Untagged'] };

test.each([
  ['untagged is another VLAN', { bridge: { vlan_default_pvid: 10 } }, /vlan_default_pvid is 10.*set it to 1/],
  ['untagged is nowhere', { bridge: { vlan_default_pvid: 0 } }, /vlan_default_pvid is 0/],
  ['other tags', { bridge: { vlan_protocol: '802.1ad' } }, /vlan_protocol is 802\.1ad/],
  [
    'an uplink with a native VLAN',
    { ports: { up0: [{ vlan: 101, flags: ['PVID', 'Egress Untagged'] }] }, master: 'br0' },
    /up0 has a VLAN table of its own/,
  ],
  ['an uplink with some VLANs', { ports: { up0: [untagged, { vlan: 7 }] }, master: 'br0' }, /up0 has a VLAN table of its own/],
  [
    "the host's own interface above it",
    { above: [{ ifname: 'br0.100', link: 'br0', linkinfo: { info_data: { id: 100 } } }] },
    /cut off br0\.100.*bridge vlan add dev br0 vid 100 self/,
  ],
])('a bridge that is set up otherwise is refused, and nothing of it changed: %s', async (_name, has, why) => {
  const { tools, said } = recorded(false, false, has);
  await expect(ensureBridge(tools, { name: 'br0', uplink: 'up0', vlans: true })).rejects.toThrow(why);
  expect(said).toEqual([]);
  // Without VLANs it is as good as any.
  await ensureBridge(recorded(false, false, has).tools, { name: 'br0', uplink: 'up0' });
});

test('what is ours, or was seen to, is no hindrance', async () => {
  const all = [untagged, { vlan: 2, vlanEnd: 4094 }];
  await ensureBridge(recorded(true, false, { ports: { up0: all }, master: 'br0' }).tools, { name: 'br0', uplink: 'up0', vlans: true });
  const above = [{ ifname: 'br0.100', link: 'br0', linkinfo: { info_data: { id: 100 } } }, {}];
  const kept = recorded(false, false, { above, ports: { br0: [untagged, { vlan: 100 }] } });
  await ensureBridge(kept.tools, { name: 'br0', uplink: 'up0', vlans: true });
  expect(kept.said).toContain('ip link set dev br0 type bridge vlan_filtering 1');
});

test('with Open vSwitch there is one way out; a cable of an earlier configuration is named', async () => {
  const links = [
    { ifname: tap, master: 'br0' },
    { ifname: 'gwovs0', master: 'br0' },
    { ifname: 'eth9', master: 'br9' },
  ];
  await ensureBridge(recorded(true, false, { links }).tools, { name: 'br0', openvswitch: 'br-ex' });
  const two = recorded(true, false, { links: [...links, { ifname: 'eth1', master: 'br0' }] });
  await expect(ensureBridge(two.tools, { name: 'br0', openvswitch: 'br-ex' })).rejects.toThrow(
    /port eth1 already.*loop: ip link set eth1 nomaster/,
  );
  expect(two.said).toEqual([]);
  const plugged = recorded(true, false, { master: 'br0' });
  plugged.said.push('gwovs0 is there');
  await expect(ensureBridge(plugged.tools, { name: 'br0', uplink: 'eth1' })).rejects.toThrow(/ip link del gwovs0; ovs-vsctl/);
});

test('that a bridge keeps VLANs apart is looked at each time', () => {
  const sys = mkdtempSync('/tmp/gw-sys-');
  try {
    mkdirSync(`${sys}/br0/bridge`, { recursive: true });
    const set = (name: string, value: string): void => writeFileSync(`${sys}/br0/bridge/${name}`, `${value}\n`);
    expect(keepsVlans('br0', sys)).toBe(false);
    set('default_pvid', '1');
    set('vlan_filtering', '1');
    expect(keepsVlans('br0', sys)).toBe(true);
    set('vlan_filtering', '0');
    expect(keepsVlans('br0', sys)).toBe(false);
  } finally {
    rmSync(sys, { recursive: true });
  }
});
