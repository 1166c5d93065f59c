import { NetworkToolError, type NetworkTools } from './network-tools.ts';

/** A network interface, as far as this agent cares. */
export type Link = {
  readonly name: string;
  readonly mac: string;
  readonly mtu: number;
  /** The bridge it is a port of. */
  readonly master: string | undefined;
  readonly up: boolean;
  /** A tap has carrier while a process holds it open. */
  readonly carrier: boolean;
  readonly kind: string | undefined;
  readonly txQueueLength: number;
};

type RawLink = {
  readonly ifname: string;
  readonly address?: string;
  readonly mtu: number;
  readonly master?: string;
  readonly flags: readonly string[];
  readonly txqlen?: number;
  readonly linkinfo?: { readonly info_kind?: string };
};

/** The interface of this name, or undefined when there is none. */
export async function findLink(tools: NetworkTools, name: string): Promise<Link | undefined> {
  try {
    const [raw] = (await tools.ip('-d', 'link', 'show', 'dev', name)) as readonly RawLink[];
    return raw && linkOf(raw);
  } catch (error) {
    if (error instanceof NetworkToolError && /does not exist|No such device|Cannot find device/.test(error.said)) return undefined;
    throw error;
  }
}

/** All interfaces of one kind (`tun` for taps, `bridge`). */
export async function listLinks(tools: NetworkTools, kind: string): Promise<readonly Link[]> {
  const raw = (await tools.ip('-d', 'link', 'show', 'type', kind)) as readonly RawLink[] | null;
  // iproute2 prints an empty object for links that the filter leaves out.
  return (raw ?? []).filter((one) => one.ifname !== undefined).map(linkOf);
}

function linkOf(raw: RawLink): Link {
  return {
    name: raw.ifname,
    mac: raw.address ?? '',
    mtu: raw.mtu,
    master: raw.master,
    up: raw.flags.includes('UP'),
    carrier: raw.flags.includes('LOWER_UP'),
    kind: raw.linkinfo?.info_kind,
    txQueueLength: raw.txqlen ?? 0,
  };
}
