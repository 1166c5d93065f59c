/**
 * What a host enforces and serves at the ports of its guests, as the controller decided it: plain data, JSON-serialisable. It goes with a guest to every host that the
 * guest starts or arrives on, and is sent again whenever it changes.
 */
export type NetworkPolicy = {
  /** Drawn before the state it was made from was read: of two policies for one port the higher number holds. */
  readonly number: number;
  readonly ports: readonly PortPolicy[];
  /** Addresses and prefixes of the security groups that the rules below name as their remote side. */
  readonly groups: Readonly<Record<string, readonly string[]>>;
};

export type PortPolicy = {
  readonly portId: string;
  /** What the guest may send as: its own MAC and addresses, and the allowed address pairs. */
  readonly sources: readonly { readonly mac: string; readonly address: string }[];
  /** Administratively down: nothing passes, not even what `rules` would let. Absent: up. */
  readonly down?: true;
  /** What may pass, all others being dropped; replies to what passed do pass. null: port security is off, nothing is filtered. */
  readonly rules: readonly SecurityRule[] | null;
  /** What its guest is told when it asks by DHCP; null: this cloud does not answer, and the request goes out on the network. */
  readonly lease: AddressLease | null;
};

/** An IPv4 address with what a guest needs to use it. */
export type AddressLease = {
  readonly address: string;
  readonly prefixLength: number;
  readonly gateway: string | null;
  readonly nameservers: readonly string[];
  readonly mtu: number;
  readonly hostname: string;
};

export type SecurityRule = {
  /** `ingress`: to the guest. */
  readonly direction: 'ingress' | 'egress';
  readonly ipVersion: 4 | 6;
  /** IANA's number; null: any. */
  readonly protocol: number | null;
  /** First and last port at the receiving end; of ICMP, type and code. null: any. */
  readonly first: number | null;
  readonly last: number | null;
  /** The side that is not the guest. */
  readonly remote:
    | { readonly kind: 'any' }
    | { readonly kind: 'prefix'; readonly prefix: string }
    | { readonly kind: 'group'; readonly groupId: string };
};

/** IANA's numbers of the protocols that rules treat apart. */
export const protocolNumbers = { icmp: 1, tcp: 6, udp: 17, dccp: 33, icmpV6: 58, sctp: 132, udpLite: 136 } as const;

/** Protocols that have ports where TCP has them. */
export const portProtocols: readonly number[] = [
  protocolNumbers.tcp,
  protocolNumbers.udp,
  protocolNumbers.dccp,
  protocolNumbers.sctp,
  protocolNumbers.udpLite,
];
