import { GodwitError } from '@godwit/domain/errors';
import { vlanIds } from '@godwit/domain/guest-spec';
import { findLink } from './link.ts';
import { NetworkToolError, type NetworkTools } from './network-tools.ts';
import { tapPattern } from './tap.ts';

export type BridgeConfig = {
  readonly name: string;
  /** Interface towards the other hosts; becomes a port of the bridge. */
  readonly uplink?: string;
  /** An existing Open vSwitch bridge that it is connected to, in place of an uplink. */
  readonly openvswitch?: string;
  /** It carries VLANs, tagged on the uplink. */
  readonly vlans?: boolean;
  /** Absent: the uplink's, else 1500. */
  readonly mtu?: number;
};

/**
 * Makes sure that the guest bridge exists, is up, and has its uplink; changes nothing that is right already.
 *
 * No spanning tree and no forward delay: a tap that joins must forward at once. No multicast snooping: without a querier it would starve guests of multicast.
 * Throws GodwitError NetworkSetupFailed, also when the uplink is absent or a port of another bridge: it is never taken from there; and when there is no such Open vSwitch bridge: it is never made.
 */
export async function ensureBridge(tools: NetworkTools, wanted: BridgeConfig): Promise<void> {
  if (wanted.openvswitch !== undefined) await demandOneWayOut(tools, wanted.name);
  const config = wanted.openvswitch === undefined ? wanted : { ...wanted, uplink: await plugIntoSwitch(tools, wanted.openvswitch) };
  if (wanted.openvswitch === undefined) await demandUnplugged(tools, config.name);
  const uplink = config.uplink === undefined ? undefined : await findLink(tools, config.uplink);
  if (config.uplink !== undefined && !uplink)
    throw new GodwitError('NetworkSetupFailed', `the uplink ${config.uplink} of bridge ${config.name} does not exist`);
  if (uplink?.master !== undefined && uplink.master !== config.name) {
    throw new GodwitError('NetworkSetupFailed', `the uplink ${uplink.name} belongs to bridge ${uplink.master}, not to ${config.name}`);
  }
  const mtu = config.mtu ?? uplink?.mtu ?? 1500;
  let bridge = await findLink(tools, config.name);
  if (!bridge) {
    await tools
      .ip('link', 'add', 'name', config.name, 'type', 'bridge', 'stp_state', '0', 'forward_delay', '0', 'mcast_snooping', '0')
      .catch((error: unknown) => {
        if (!(error instanceof NetworkToolError && /File exists/.test(error.said))) throw error;
      });
    // The bridge is for guests: the host itself takes no address on it, not even a link-local one.
    await tools.ip('link', 'set', 'dev', config.name, 'addrgenmode', 'none');
    bridge = await findLink(tools, config.name);
  }
  if (bridge?.kind !== 'bridge')
    throw new GodwitError('NetworkSetupFailed', `${config.name} exists and is no bridge but ${bridge?.kind ?? 'a plain interface'}`);
  // Before anything is changed: what is somebody's own is refused, and stays as it is.
  if (config.vlans === true) await demandOwnTable(tools, config, uplink?.master === config.name);
  if (uplink && uplink.master === undefined) await tools.ip('link', 'set', 'dev', uplink.name, 'master', config.name);
  if (uplink && !uplink.up) await tools.ip('link', 'set', 'dev', uplink.name, 'up');
  if (bridge.mtu !== mtu) await tools.ip('link', 'set', 'dev', config.name, 'mtu', String(mtu));
  if (config.vlans === true) await carryVlans(tools, config, uplink !== undefined);
  if (!bridge.up) await tools.ip('link', 'set', 'dev', config.name, 'up');
}

/**
 * From now on the bridge looks at tags: ports that are there, and those that join without a VLAN of their own, stay together untagged. The configured uplink gets every VLAN; other ports of a bridge
 * that was there are their owner's. Repeating it changes nothing.
 */
async function carryVlans(tools: NetworkTools, { name, uplink = '' }: BridgeConfig, hasUplink: boolean): Promise<void> {
  await tools.ip('link', 'set', 'dev', name, 'type', 'bridge', 'vlan_filtering', '1').catch((error: unknown) => {
    if (!(error instanceof NetworkToolError && /not supported/.test(error.said))) throw error;
    throw new GodwitError(
      'NetworkSetupFailed',
      `the bridges of this host's kernel know no VLANs (CONFIG_BRIDGE_VLAN_FILTERING); take bridge.vlans out of the configuration`,
      { said: error.said },
      { cause: error },
    );
  });
  if (hasUplink) await tools.bridge('vlan', 'add', 'dev', uplink, 'vid', `${vlanIds.first}-${vlanIds.last}`);
}

type VlanEntry = { readonly vlan: number; readonly vlanEnd?: number; readonly flags?: readonly string[] };

async function vlansOf(tools: NetworkTools, port: string): Promise<readonly VlanEntry[]> {
  const ports = (await tools.bridge('vlan', 'show', 'dev', port)) as readonly { readonly vlans?: readonly VlanEntry[] }[] | null;
  return ports?.flatMap(({ vlans = [] }) => vlans) ?? [];
}

/**
 * Throws NetworkSetupFailed when the bridge or its uplink was set up for VLANs in a way that ours would destroy or that would put guests of flat networks into one: untagged is VLAN 1 here, the uplink has
 * every VLAN or none yet, and no interface of the host's own above the bridge is cut off.
 */
async function demandOwnTable(tools: NetworkTools, { name, uplink = '' }: BridgeConfig, hasUplink: boolean): Promise<void> {
  const [bridge] = (await tools.ip('-d', 'link', 'show', 'dev', name)) as readonly {
    readonly linkinfo?: { readonly info_data?: Readonly<Record<string, unknown>> };
  }[];
  const {
    vlan_default_pvid: untagged = 1,
    vlan_protocol: protocol = '802.1Q',
    vlan_filtering: filtering,
  } = bridge?.linkinfo?.info_data ?? {};
  const refuse = (why: string): never => {
    throw new GodwitError('NetworkSetupFailed', `the bridge ${name} cannot carry VLANs: ${why}`);
  };
  if (untagged !== 1)
    refuse(`its vlan_default_pvid is ${String(untagged)}, where guests of flat networks would be; set it to 1, or name another bridge`);
  if (protocol !== '802.1Q') refuse(`its vlan_protocol is ${String(protocol)}, not 802.1Q`);
  const has = hasUplink ? await vlansOf(tools, uplink) : [];
  const count = has.reduce((sum, { vlan, vlanEnd = vlan }) => sum + vlanEnd - vlan + 1, 0);
  const isDefault = has.every(({ vlan, flags = [] }) =>
    vlan === 1 ? flags.includes('PVID') && flags.includes('Egress Untagged') : flags.length === 0,
  );
  if (has.length > 0 && !(isDefault && (count === 1 || count === vlanIds.last)))
    refuse(
      `its port ${uplink} has a VLAN table of its own (bridge vlan show dev ${uplink}), which is left as it is; take bridge.uplink out of the configuration, and give the port the VLANs of your networks yourself`,
    );
  if (filtering === 1) return;
  const above = (
    (await tools.ip('-d', 'link', 'show', 'type', 'vlan')) as
      | readonly {
          readonly ifname?: string;
          readonly link?: string;
          readonly linkinfo?: { readonly info_data?: { readonly id?: number } };
        }[]
      | null
  )?.filter(({ link }) => link === name);
  if (above === undefined || above.length === 0) return;
  const own = await vlansOf(tools, name);
  for (const { ifname, linkinfo } of above) {
    const id = linkinfo?.info_data?.id ?? 0;
    if (!own.some(({ vlan, vlanEnd = vlan }) => vlan <= id && id <= vlanEnd))
      refuse(
        `it would cut off ${ifname}, the host's own interface of VLAN ${id} above it; first: bridge vlan add dev ${name} vid ${id} self`,
      );
  }
}

/** Throws NetworkSetupFailed when the guest bridge has a way out beside the Open vSwitch bridge that it is to be plugged into: two ways to one segment are a loop, and nothing here would break it. */
async function demandOneWayOut(tools: NetworkTools, name: string): Promise<void> {
  const links = ((await tools.ip('-d', 'link', 'show')) ?? []) as readonly { readonly ifname?: string; readonly master?: string }[];
  const other = links.find(({ ifname = '', master }) => master === name && ifname !== cable[0] && !tapPattern.test(ifname));
  if (other !== undefined)
    throw new GodwitError(
      'NetworkSetupFailed',
      `the guest bridge ${name} has the port ${other.ifname} already, and with bridge.openvswitch there would be two ways out, a loop: ip link set ${other.ifname} nomaster`,
    );
}

/** The other way about: the cable of an earlier configuration. */
async function demandUnplugged(tools: NetworkTools, name: string): Promise<void> {
  if ((await findLink(tools, cable[0]))?.master === name)
    throw new GodwitError(
      'NetworkSetupFailed',
      `the guest bridge ${name} is plugged into Open vSwitch still, and bridge.openvswitch is not configured: ip link del ${cable[0]}; ovs-vsctl --if-exists del-port ${cable[1]}`,
    );
}

/** Both ends of the cable between the guest bridge and an Open vSwitch bridge; the first is the guest bridge's uplink. */
const cable = ['gwovs0', 'gwovs1'] as const;

/**
 * Connects the two by a veth pair, whose far end is a port of the Open vSwitch bridge that carries every VLAN; answers the near end. Guests' taps stay on a bridge of the kernel's own: what they may send
 * and get is looked at there, and Open vSwitch's ports are not seen by those rules. Repeating it changes nothing. Throws NetworkSetupFailed.
 */
async function plugIntoSwitch(tools: NetworkTools, name: string): Promise<string> {
  const [near, far] = cable;
  await tools.vsctl('br-exists', name).catch((error: unknown) => {
    if (!(error instanceof NetworkToolError)) throw error;
    // It says nothing then, and ends with 2.
    const absent = (error.cause as { readonly code?: unknown }).code === 2;
    const why = absent
      ? 'there is none of this name'
      : /ENOENT/.test(error.said)
        ? 'ovs-vsctl is not installed (openvswitch-switch)'
        : error.said;
    throw new GodwitError(
      'NetworkSetupFailed',
      `the Open vSwitch bridge ${name} cannot be used: ${why}`,
      { said: error.said },
      { cause: error },
    );
  });
  const mtu = (await findLink(tools, name))?.mtu ?? 1500;
  const present = await findLink(tools, near);
  if (present !== undefined && present.kind !== 'veth')
    throw new GodwitError(
      'NetworkSetupFailed',
      `${near} exists and is no cable to Open vSwitch but ${present.kind ?? 'a plain interface'}`,
    );
  if (present === undefined)
    await tools.ip('link', 'add', 'name', near, 'mtu', String(mtu), 'type', 'veth', 'peer', 'name', far, 'mtu', String(mtu));
  await tools.ip('link', 'set', 'dev', far, 'addrgenmode', 'none', 'up');
  await tools.ip('link', 'set', 'dev', near, 'addrgenmode', 'none');
  // Refused by Open vSwitch when it is a port of another of its bridges.
  await tools.vsctl('--may-exist', 'add-port', name, far);
  return near;
}
