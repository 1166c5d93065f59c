import { createHash } from 'node:crypto';

/** Addresses exist only inside the lab's namespaces; nothing routes them anywhere. */
export const addresses = {
  controller: '10.77.0.1',
  managementPrefixBits: 24,
  guestSubnet: '10.88.0.0/24',
  guestGateway: '10.88.0.1',
  client: '10.88.0.2',
  guestPrefixBits: 24,
} as const;

/** More would leave 10.77.0.0/24; a machine that holds more real hosts has not been seen. */
export const mostHosts = 200;

/** Linux IFNAMSIZ: 15 characters and a NUL. */
export const mostInterfaceNameLength = 15;

export interface Node {
  readonly name: string;
  readonly namespace: string;
  readonly managementAddress: string;
  /** The fabric's ends of the host's two cables. */
  readonly fabricPort: string;
  readonly managementPort: string;
}

export type NetworkStep =
  | { readonly kind: 'namespace'; readonly name: string }
  | { readonly kind: 'bridge'; readonly namespace: string; readonly name: string; readonly address?: string }
  | {
      readonly kind: 'cable';
      readonly end: { readonly namespace: string; readonly name: string; readonly address?: string };
      readonly port: { readonly namespace: string; readonly name: string; readonly bridge: string };
    };

export interface Topology {
  readonly labId: string;
  readonly fabricNamespace: string;
  readonly clientNamespace: string;
  readonly fabricBridge: string;
  readonly managementBridge: string;
  readonly clientPort: string;
  readonly nodes: readonly Node[];
  /** In the order in which they are done; undoing is deleting the namespaces, which takes everything else with them. */
  readonly steps: readonly NetworkStep[];
}

/**
 * The lab's short id: the same for the same directory, another for another, so that labs stand side by side and
 * a lab left by a crash is found again. `realDir` is absolute and free of links.
 */
export function labIdOf(realDir: string): string {
  return `gw${createHash('sha256').update(realDir).digest('hex').slice(0, 6)}`;
}

/** True for the namespaces of this lab, and for no other lab's. */
export function belongsToLab(labId: string, namespace: string): boolean {
  return namespace.startsWith(`${labId}-`);
}

/** The names of hosts 1…N. Throws RangeError for a count that no lab can have. */
export function planTopology(labId: string, hosts: number): Topology {
  if (!Number.isInteger(hosts) || hosts < 1 || hosts > mostHosts) throw new RangeError(`hosts must be 1 to ${mostHosts}, not ${hosts}`);
  const fabricNamespace = `${labId}-fabric`;
  const clientNamespace = `${labId}-client`;
  const fabricBridge = 'fabric';
  const managementBridge = 'mgmt';
  const clientPort = 'up-client';
  const nodes = Array.from({ length: hosts }, (_, index): Node => {
    const name = `node${index + 1}`;
    return {
      name,
      namespace: `${labId}-${name}`,
      managementAddress: `10.77.0.${11 + index}`,
      fabricPort: `up-${name}`,
      managementPort: `mgmt-${name}`,
    };
  });
  const steps: NetworkStep[] = [
    { kind: 'namespace', name: fabricNamespace },
    { kind: 'namespace', name: clientNamespace },
    ...nodes.map((node) => ({ kind: 'namespace', name: node.namespace }) as const),
    { kind: 'bridge', namespace: fabricNamespace, name: fabricBridge },
    {
      kind: 'bridge',
      namespace: fabricNamespace,
      name: managementBridge,
      address: `${addresses.controller}/${addresses.managementPrefixBits}`,
    },
    {
      kind: 'cable',
      end: { namespace: clientNamespace, name: 'eth0', address: `${addresses.client}/${addresses.guestPrefixBits}` },
      port: { namespace: fabricNamespace, name: clientPort, bridge: fabricBridge },
    },
    ...nodes.flatMap((node): readonly NetworkStep[] => [
      {
        kind: 'cable',
        end: { namespace: node.namespace, name: 'mgmt0', address: `${node.managementAddress}/${addresses.managementPrefixBits}` },
        port: { namespace: fabricNamespace, name: node.managementPort, bridge: managementBridge },
      },
      {
        kind: 'cable',
        end: { namespace: node.namespace, name: 'up0' },
        port: { namespace: fabricNamespace, name: node.fabricPort, bridge: fabricBridge },
      },
    ]),
  ];
  return { labId, fabricNamespace, clientNamespace, fabricBridge, managementBridge, clientPort, nodes, steps };
}
