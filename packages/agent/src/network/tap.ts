import { GodwitError } from '@godwit/domain/errors';
import type { PortId } from '@godwit/domain/ids';
import { findLink, type Link, listLinks } from './link.ts';
import { NetworkToolError, type NetworkTools } from './network-tools.ts';

/** Names of guests' taps. */
export const tapPattern = /^gt[0-9a-f]{8}$/;

/**
 * Name of a port's tap on any host: `gt` and the first 8 hex digits of the port's UUID (interface names have 15 bytes at most).
 * Throws GodwitError BadRequest when the port id is no UUID.
 */
export function tapName(portId: PortId): string {
  const name = `gt${portId.slice(0, 8).toLowerCase()}`;
  if (!tapPattern.test(name)) throw new GodwitError('BadRequest', `port id ${JSON.stringify(portId)} is no UUID`);
  return name;
}

export type TapRequest = {
  readonly name: string;
  readonly bridge: string;
  readonly mtu: number;
  /** Closed: nothing is flooded to it and it learns nothing (the destination of a move, before the switchover). */
  readonly open: boolean;
  /** Absent: as ports of the bridge are by themselves, untagged. */
  readonly vlan?: number;
};

/**
 * How many frames wait at a tap while its guest does not read: those that reach a destination before it runs. At 1500 bytes this is 1.5 MB of kernel
 * memory at worst, and one gigabit for 12 ms.
 */
export const tapQueueFrames = 1000;

/**
 * Makes sure that a tap exists, persists without a process, is a port of the bridge, and is up. Repeating the call changes nothing.
 * Throws GodwitError NetworkSetupFailed; a tap made by this very call is removed then.
 */
export async function ensureTap(tools: NetworkTools, request: TapRequest): Promise<void> {
  if (!tapPattern.test(request.name)) throw new GodwitError('BadRequest', `${request.name} is no name of a guest's tap`);
  const present = await findLink(tools, request.name);
  if (present && present.kind !== 'tun')
    throw new GodwitError('NetworkSetupFailed', `${request.name} exists and is no tap but ${present.kind ?? 'a plain interface'}`);
  let made = false;
  try {
    // vnet_hdr: QEMU asks for it, and a queue without it could not be opened then.
    if (!present)
      made = (await tools.ip('tuntap', 'add', 'dev', request.name, 'mode', 'tap', 'vnet_hdr').then(() => true, acceptRace)) ?? false;
    // No link-local address of the host on the guest's wire.
    await tools.ip(
      'link',
      'set',
      'dev',
      request.name,
      'mtu',
      String(request.mtu),
      'txqueuelen',
      String(tapQueueFrames),
      'addrgenmode',
      'none',
    );
    if (present?.master !== request.bridge) await tools.ip('link', 'set', 'dev', request.name, 'master', request.bridge);
    if (request.vlan !== undefined) await setTapVlan(tools, request.bridge, request.name, request.vlan);
    await setTapOpen(tools, request.name, request.open);
    await tools.ip('link', 'set', 'dev', request.name, 'up');
  } catch (error) {
    if (made) await deleteTap(tools, request.name).catch(() => undefined); // the first error is the cause; the sweep finds what is left
    throw error;
  }
}

/**
 * Makes a tap an access port of one VLAN: what comes out of the guest is of that VLAN, what is tagged by the guest with another is dropped, and only that VLAN's frames reach it, without
 * their tag. The default VLAN goes first, so that there is no instant in which the port is of two. Throws NetworkSetupFailed.
 */
export async function setTapVlan(tools: NetworkTools, bridge: string, name: string, vlan: number): Promise<void> {
  const [owner] = (await tools.ip('-d', 'link', 'show', 'dev', bridge)) as readonly {
    readonly linkinfo?: { readonly info_data?: { readonly vlan_filtering?: number } };
  }[];
  // Somebody has switched it off since the agent began: the port would be among all the others.
  if (owner?.linkinfo?.info_data?.vlan_filtering !== 1)
    throw new GodwitError(
      'NetworkSetupFailed',
      `the guest bridge ${bridge} does not look at tags any more (vlan_filtering is off), and ${name} is of VLAN ${vlan}`,
    );
  const has = (
    (await tools.bridge('vlan', 'show', 'dev', name)) as readonly { readonly vlans?: readonly { readonly vlan: number }[] }[] | null
  )
    ?.flatMap(({ vlans = [] }) => vlans)
    .filter((one) => one.vlan !== vlan);
  for (const one of has ?? []) await tools.bridge('vlan', 'del', 'dev', name, 'vid', String(one.vlan));
  await tools.bridge('vlan', 'add', 'dev', name, 'vid', String(vlan), 'pvid', 'untagged');
}

/** Throws NetworkSetupFailed where the bridge would put this port among all the others. */
export function demandVlan(bridge: { readonly name: string; readonly vlans?: boolean }, vlan: number | undefined): void {
  if (vlan !== undefined && bridge.vlans !== true)
    throw new GodwitError(
      'NetworkSetupFailed',
      `the guest bridge ${bridge.name} of this host carries no VLANs (bridge.vlans), and the network is VLAN ${vlan}`,
    );
}

/**
 * Opens or closes a tap's bridge port: closed, no flooded frame (broadcast, multicast, unknown unicast) reaches it and no address is learned from it; only a
 * forwarding entry that names it still does. Flags and not the port's state, because the kernel sets the state to forwarding by itself when QEMU opens the tap.
 */
export async function setTapOpen(tools: NetworkTools, name: string, open: boolean): Promise<void> {
  const value = open ? 'on' : 'off';
  await tools.bridge('link', 'set', 'dev', name, 'learning', value, 'flood', value, 'mcast_flood', value, 'bcast_flood', value);
}

/** Removes a tap; one that is absent is fine. Refuses (BadRequest) any other interface. */
export async function deleteTap(tools: NetworkTools, name: string): Promise<void> {
  if (!tapPattern.test(name)) throw new GodwitError('BadRequest', `${name} is no name of a guest's tap`);
  try {
    await tools.ip('link', 'del', 'dev', name);
  } catch (error) {
    if (error instanceof NetworkToolError && /Cannot find device|does not exist|No such device/.test(error.said)) return;
    throw error;
  }
}

/** All taps of guests on this host. */
export async function listTaps(tools: NetworkTools): Promise<readonly Link[]> {
  return (await listLinks(tools, 'tun')).filter((link) => tapPattern.test(link.name));
}

/**
 * Deletes taps of guests that are not in `keep`: what a crash left. One that some process holds open is left alone, whatever the agent believes.
 * Returns the names deleted.
 */
export async function sweepTaps(tools: NetworkTools, keep: ReadonlySet<string>): Promise<readonly string[]> {
  const stale = (await listTaps(tools)).filter((tap) => !keep.has(tap.name) && !tap.carrier);
  for (const tap of stale) await deleteTap(tools, tap.name);
  return stale.map((tap) => tap.name);
}

/** Two calls for one tap may meet: that it exists by then is what both wanted. */
function acceptRace(error: unknown): false {
  if (error instanceof NetworkToolError && /File exists|Device or resource busy/.test(error.said)) return false;
  throw error;
}
