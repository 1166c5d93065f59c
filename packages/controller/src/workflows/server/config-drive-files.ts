/** What a config drive tells its guest. */
export type ConfigDriveFacts = {
  readonly serverId: string;
  readonly name: string;
  readonly hostname: string;
  readonly projectId: string;
  readonly zone: string;
  readonly launchIndex: number;
  readonly metadata: Readonly<Record<string, string>>;
  readonly key: { readonly name: string; readonly type: string; readonly data: string } | null;
  /** Base64, as the API took it. */
  readonly userData: string | null;
  /** 512 bytes in base64. */
  readonly randomSeed: string;
  readonly ports: readonly {
    readonly id: string;
    readonly networkId: string;
    readonly mac: string;
    readonly mtu: number;
    readonly addresses: readonly {
      readonly address: string;
      readonly prefixLength: number;
      readonly gateway: string | null;
      readonly dns: readonly string[];
    }[];
  }[];
};

export type ConfigDriveFile = { readonly path: string; readonly base64: string };

/**
 * The files of a config drive, version 2 of OpenStack's layout ("Store metadata on a configuration drive"). Addresses are told as fixed ones: a guest has them with DHCP and without.
 * Pure.
 */
export function configDriveFiles(facts: ConfigDriveFacts): readonly ConfigDriveFile[] {
  const { key } = facts;
  const metadata = {
    uuid: facts.serverId,
    name: facts.name,
    hostname: facts.hostname,
    availability_zone: facts.zone,
    launch_index: facts.launchIndex,
    project_id: facts.projectId,
    meta: facts.metadata,
    ...(key === null ? {} : { public_keys: { [key.name]: key.data }, keys: [key] }),
    random_seed: facts.randomSeed,
    devices: [],
    dedicated_cpus: [],
  };
  const json = (path: string, value: object): ConfigDriveFile => ({ path, base64: Buffer.from(JSON.stringify(value)).toString('base64') });
  return [
    json('openstack/latest/meta_data.json', metadata),
    json('openstack/latest/network_data.json', networkData(facts)),
    json('openstack/latest/vendor_data.json', {}),
    json('openstack/latest/vendor_data2.json', {}),
    ...(facts.userData === null
      ? []
      : [{ path: 'openstack/latest/user_data', base64: Buffer.from(facts.userData, 'base64').toString('base64') }]),
  ];
}

function networkData({ ports }: ConfigDriveFacts): object {
  const link = (id: string): string => `tap${id.slice(0, 11)}`;
  return {
    links: ports.map((port) => ({ id: link(port.id), vif_id: port.id, type: 'phy', mtu: port.mtu, ethernet_mac_address: port.mac })),
    networks: ports.flatMap((port, at) =>
      port.addresses.map(({ address, prefixLength, gateway, dns }, index) => {
        const isV6 = address.includes(':');
        const [zeros, mask] = isV6 ? ['::', '::'] : ['0.0.0.0', '0.0.0.0'];
        return {
          id: `network${at}${index === 0 ? '' : `-${index}`}`,
          type: isV6 ? 'ipv6' : 'ipv4',
          link: link(port.id),
          ip_address: address,
          netmask: isV6 ? v6Mask(prefixLength) : v4Mask(prefixLength),
          routes: gateway === null ? [] : [{ network: zeros, netmask: mask, gateway }],
          network_id: port.networkId,
          services: dns.map((server) => ({ type: 'dns', address: server })),
        };
      }),
    ),
    services: [...new Set(ports.flatMap(({ addresses }) => addresses.flatMap(({ dns }) => dns)))].map((address) => ({
      type: 'dns',
      address,
    })),
  };
}

const v4Mask = (prefixLength: number): string =>
  [0, 8, 16, 24].map((from) => 256 - 2 ** (8 - Math.min(8, Math.max(0, prefixLength - from)))).join('.');
const v6Mask = (prefixLength: number): string =>
  Array.from({ length: 8 }, (_, at) => (65_536 - 2 ** (16 - Math.min(16, Math.max(0, prefixLength - at * 16)))).toString(16)).join(':');
