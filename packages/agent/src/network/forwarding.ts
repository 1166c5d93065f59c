import { NetworkToolError, type NetworkTools } from './network-tools.ts';

/** An entry of a bridge's forwarding table. */
export type ForwardingEntry = { readonly mac: string; readonly port: string; readonly state: 'learned' | 'static' | 'permanent' };

/** What a bridge that looks at tags has for ports without a VLAN of their own. */
const untagged = 1;

/** Which port of the bridge leads to a MAC address, in a VLAN or untagged; undefined when the bridge would flood. */
export async function lookUp(tools: NetworkTools, bridge: string, mac: string, vlan = untagged): Promise<ForwardingEntry | undefined> {
  const entries = (await tools.bridge('fdb', 'show', 'br', bridge)) as
    | readonly { mac: string; ifname: string; state?: string; flags?: readonly string[]; master?: string; vlan?: number }[]
    | null;
  const entry = entries?.find((one) => one.mac === mac && one.master === bridge && (one.vlan ?? untagged) === vlan);
  return (
    entry && { mac, port: entry.ifname, state: entry.state === 'permanent' ? 'permanent' : entry.state === 'static' ? 'static' : 'learned' }
  );
}

/**
 * Points a MAC address at a port. `learned`: ages out, and moves when the address is seen elsewhere; the kernel refuses it (Operation not permitted) while the
 * port has no carrier, i.e. while no QEMU holds the tap open. `static`: stays until removed, whatever is seen.
 */
export async function pointAt(tools: NetworkTools, mac: string, port: string, kind: 'learned' | 'static'): Promise<void> {
  await tools.bridge('fdb', 'replace', mac, 'dev', port, 'master', kind === 'static' ? 'static' : 'dynamic');
}

/** Removes an entry; one that is absent is fine. */
export async function forget(tools: NetworkTools, mac: string, port: string): Promise<void> {
  try {
    await tools.bridge('fdb', 'del', mac, 'dev', port, 'master');
  } catch (error) {
    if (error instanceof NetworkToolError && /No such file|Cannot find device/.test(error.said)) return;
    throw error;
  }
}
