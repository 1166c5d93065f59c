import { expect, it } from 'vitest';
import { configDriveFiles } from './config-drive-files.ts';

const facts = {
  serverId: 's',
  name: 'web',
  hostname: 'web.example',
  projectId: 'p',
  zone: 'az1',
  launchIndex: 2,
  metadata: { role: 'db' },
  key: { name: 'k', type: 'ssh', data: 'ssh-rsa AAAA' },
  userData: 'I2Nsb3VkLWNv\nbmZpZwo=',
  randomSeed: 'c2VlZA==',
  ports: [
    {
      id: '01234567-89ab-4cde-8f01-23456789abcd',
      networkId: 'n',
      mac: '02:00:00:00:00:01',
      mtu: 1400,
      addresses: [
        { address: '10.1.2.3', prefixLength: 20, gateway: '10.1.0.1', dns: ['10.1.0.2'] },
        { address: 'fd00::3', prefixLength: 60, gateway: null, dns: [] },
      ],
    },
  ],
};
const read = (of: typeof facts, path: string): unknown =>
  JSON.parse(Buffer.from(configDriveFiles(of).find((file) => file.path === `openstack/latest/${path}`)?.base64 ?? '', 'base64').toString());

it('tells the guest who it is, with its key and its user data as they were given', () => {
  expect(read(facts, 'meta_data.json')).toMatchObject({
    uuid: 's',
    hostname: 'web.example',
    availability_zone: 'az1',
    launch_index: 2,
    meta: { role: 'db' },
    public_keys: { k: 'ssh-rsa AAAA' },
  });
  expect(configDriveFiles(facts).at(-1)).toEqual({
    path: 'openstack/latest/user_data',
    base64: Buffer.from('#cloud-config\n').toString('base64'),
  });
  expect(configDriveFiles({ ...facts, userData: null as unknown as string }).map(({ path }) => path)).not.toContain(
    'openstack/latest/user_data',
  );
});

it('tells it its addresses', () => {
  expect(read(facts, 'network_data.json')).toEqual({
    links: [
      {
        id: 'tap01234567-89',
        vif_id: facts.ports[0]?.id,
        type: 'phy',
        mtu: 1400,
        ethernet_mac_address: '02:00:00:00:00:01',
      },
    ],
    networks: [
      {
        id: 'network0',
        type: 'ipv4',
        link: 'tap01234567-89',
        ip_address: '10.1.2.3',
        netmask: '255.255.240.0',
        routes: [{ network: '0.0.0.0', netmask: '0.0.0.0', gateway: '10.1.0.1' }],
        network_id: 'n',
        services: [{ type: 'dns', address: '10.1.0.2' }],
      },
      {
        id: 'network0-1',
        type: 'ipv6',
        link: 'tap01234567-89',
        ip_address: 'fd00::3',
        netmask: 'ffff:ffff:ffff:fff0:0:0:0:0',
        routes: [],
        network_id: 'n',
        services: [],
      },
    ],
    services: [{ type: 'dns', address: '10.1.0.2' }],
  });
});
