import { useQuery } from '@tanstack/react-query';
import { Form, Input, Segmented, Select } from 'antd';
import { useState } from 'react';
import { attachInterface, type FreePort, freePorts, type NewInterface } from '../api/interfaces.ts';
import { networkList } from '../api/resources.ts';
import type { Server } from '../api/servers.ts';
import { FormDialog } from '../components/form-dialog.tsx';
import { useApi } from '../components/signed-in.tsx';
import { words } from '../words.ts';

type Values = { readonly network?: string; readonly address?: string; readonly port?: string };

/** Attach Interface: a new port on a network, or one that exists. Stays open until the guest has it, or it is known that it has not. */
export function AttachInterfaceDialog({ server, onClose }: { readonly server: Server; readonly onClose: () => void }) {
  const api = useApi();
  const networks = useQuery(networkList(api));
  const ports = useQuery(freePorts(api, server.tenant_id));
  const [by, setBy] = useState<'network' | 'port'>('network');
  const networkName = (id: string): string => networks.data?.find((network) => network.id === id)?.name ?? id;
  return (
    <FormDialog<Values>
      title={`${words.interfaces.attach}: ${server.name}`}
      ok="Attach"
      refreshes="server"
      onSubmit={(values) => attachInterface(api, server.id, wanted(by, values))}
      said={() => `Interface attached to ${server.name}`}
      onClose={onClose}
    >
      <p>A guest that runs gets the card at once; what it does with it is up to the guest.</p>
      <Form.Item>
        <Segmented
          aria-label="By"
          value={by}
          options={[
            { value: 'network', label: 'New port on a network' },
            { value: 'port', label: 'Existing port' },
          ]}
          onChange={setBy}
        />
      </Form.Item>
      {by === 'network' ? (
        <>
          <Form.Item name="network" label="Network" rules={[{ required: true, message: 'Choose a network.' }]}>
            <Select
              loading={networks.isPending}
              options={(networks.data ?? []).map(({ id, name }) => ({ value: id, label: name || id }))}
              showSearch={{ optionFilterProp: 'label' }}
            />
          </Form.Item>
          <Form.Item name="address" label="Fixed address" extra="Empty: the next one that is free.">
            <Input maxLength={45} />
          </Form.Item>
        </>
      ) : (
        <Form.Item
          name="port"
          label="Port"
          extra={ports.data?.length === 0 ? 'The project has no port that is free. `openstack port create` makes one.' : undefined}
          rules={[{ required: true, message: 'Choose a port.' }]}
        >
          <Select
            loading={ports.isPending}
            options={(ports.data ?? []).map((port) => ({ value: port.id, label: portLabel(port, networkName(port.network_id)) }))}
            showSearch={{ optionFilterProp: 'label' }}
          />
        </Form.Item>
      )}
    </FormDialog>
  );
}

const portLabel = ({ id, name, mac_address, fixed_ips }: FreePort, network: string): string =>
  [name || id.slice(0, 8), fixed_ips.map(({ ip_address }) => ip_address).join(', '), mac_address, `on ${network}`]
    .filter((part) => part !== '')
    .join(' · ');

function wanted(by: 'network' | 'port', { network = '', address = '', port = '' }: Values): NewInterface {
  if (by === 'port') return { port_id: port };
  const fixed = address.trim();
  return { net_id: network, ...(fixed === '' ? {} : { fixed_ips: [{ ip_address: fixed }] }) };
}
