import { expect, test } from 'vitest';
import { ensureBridge } from './guest-bridge.ts';
import { NetworkToolError, type NetworkTools } from './network-tools.ts';
import { demandVlan, ensureTap } from './tap.ts';

/* What the kernel is told, and in which order. That a kernel with these bridges keeps VLANs apart is not these tests' to show: docs/networks.md says what was seen. */

const tap = 'gt0a1b2c3d';

/** Answers as a host whose bridge looks at tags or not, and remembers what it was told. */
function recorded(filtering: boolean, refuses = false): { readonly tools: NetworkTools; readonly said: string[] } {
  const said: string[] = [];
  const tools: NetworkTools = {
    ip: async (...args) => {
      const line = args.join(' ');
      if (line === `-d link show dev ${tap}` || (line.endsWith('gwovs0') && !said.some((one) => one.includes('gwovs0'))))
        throw new NetworkToolError(line, 'Device does not exist.', null);
      if (args[0] === '-d')
        return [
          {
            ifname: args.at(-1),
            mtu: 1500,
            flags: ['UP'],
            linkinfo: { info_kind: 'bridge', info_data: { vlan_filtering: filtering ? 1 : 0 } },
          },
        ];
      if (refuses && line.includes('vlan_filtering')) throw new NetworkToolError(line, 'RTNETLINK answers: Operation not supported', null);
      said.push(`ip ${line}`);
      return null;
    },
    bridge: async (...args) => {
      if (args[1] === 'show') return [{ ifname: tap, vlans: [{ vlan: 1, flags: ['PVID', 'Egress Untagged'] }] }];
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
