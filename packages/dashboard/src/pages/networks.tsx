import { useQuery } from '@tanstack/react-query';
import { App, Button, Checkbox, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import {
  createNetwork,
  createSubnet,
  deleteNetwork,
  deleteSubnet,
  type Network,
  type NetworkSubnet,
  networkList,
  subnetList,
} from '../api/resources.ts';
import { isAdmin } from '../api/session.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { words } from '../words.ts';

/** Networks with their subnets. */
export function Networks() {
  const api = useApi();
  const { modal } = App.useApp();
  const [creating, setCreating] = useState(false);
  const [adding, setAdding] = useState<Network | null>(null);
  const networks = useQuery(networkList(api));
  const subnets = useQuery(subnetList(api));
  const { busy, run } = useChange('network');
  const mayChange = (network: Network): boolean => isAdmin(api.session) || network.project_id === api.session.project.id;
  const removeSubnet = (subnet: NetworkSubnet): void => {
    modal.confirm({
      title: `Delete subnet ${subnet.cidr}?`,
      content: 'Nothing gets an address from it any more. It is refused while ports have addresses in it.',
      okText: words.actions.delete,
      okButtonProps: { danger: true },
      cancelText: words.dialog.cancel,
      onOk: async () => void (await run(`Subnet ${subnet.cidr} deleted`, () => deleteSubnet(api, subnet.id))),
    });
  };
  const columns: readonly Column<Network>[] = [
    { key: 'name', title: 'Name', sortBy: (network) => network.name, render: (network) => <strong>{network.name || network.id}</strong> },
    { key: 'id', title: 'ID', className: 'wide', render: (network) => <CopyableId id={network.id} short what={network.name} /> },
    {
      key: 'status',
      title: 'Status',
      render: (network) => <span className={`status ${network.status === 'ACTIVE' ? 'good' : 'warn'}`}>{network.status}</span>,
    },
    { key: 'shared', title: 'Shared', render: (network) => (network.shared ? 'yes' : 'no') },
    ...(isAdmin(api.session)
      ? [
          {
            key: 'type',
            title: 'Type',
            render: (network: Network) =>
              network['provider:segmentation_id'] == null ? 'flat' : `VLAN ${network['provider:segmentation_id']}`,
          },
        ]
      : []),
    { key: 'mtu', title: 'MTU', className: 'number', sortBy: (network) => network.mtu, render: (network) => network.mtu },
    {
      key: 'subnets',
      title: 'Subnets',
      render: (network) => {
        const own = (subnets.data ?? []).filter((subnet) => subnet.network_id === network.id);
        return own.length === 0 ? (
          <span className="muted">none: instances get no address</span>
        ) : (
          own.map((subnet) => (
            <div key={subnet.id}>
              {subnet.cidr} <span className="muted">{subnet.gateway_ip === null ? 'no gateway' : `gateway ${subnet.gateway_ip}`}</span>
              {mayChange(network) && (
                <Button
                  type="text"
                  size="small"
                  disabled={busy}
                  aria-label={`Delete subnet ${subnet.cidr}`}
                  onClick={() => removeSubnet(subnet)}
                >
                  ×
                </Button>
              )}
            </div>
          ))
        );
      },
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 190,
      render: (network) =>
        mayChange(network) && (
          <span style={{ display: 'inline-flex', gap: 6 }}>
            <Button size="small" aria-label={`Add subnet: ${network.name}`} onClick={() => setAdding(network)}>
              Add subnet
            </Button>
            <DeleteButton
              what="network"
              name={network.name || network.id}
              onDelete={() => run(`Network ${network.name} deleted`, () => deleteNetwork(api, network.id))}
            />
          </span>
        ),
    },
  ];
  return (
    <>
      <PageHead title="Networks">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Network
        </Button>
      </PageHead>
      {networks.isError && <Problem error={networks.error} what="The networks could not be listed." />}
      <DataTable<Network>
        label="Networks"
        tall
        columns={columns}
        rows={networks.data ?? []}
        rowKey={(network) => network.id}
        loading={networks.isPending}
        empty="There are no networks. Create one with a subnet, so that instances get addresses."
      />
      {creating && <CreateNetwork onClose={() => setCreating(false)} />}
      {adding !== null && <AddSubnet network={adding} onClose={() => setAdding(null)} />}
    </>
  );
}

type SubnetValues = { readonly cidr: string; readonly gateway?: string };

const versionOf = (cidr: string): 4 | 6 => (cidr.includes(':') ? 6 : 4);
const subnetOf = (network: string, name: string, { cidr, gateway = '' }: SubnetValues) => ({
  network_id: network,
  name,
  cidr: cidr.trim(),
  ip_version: versionOf(cidr),
  // Absent: the first address; `none`: a network without a way out.
  ...(gateway.trim() === '' ? {} : { gateway_ip: gateway.trim() === 'none' ? null : gateway.trim() }),
});

function SubnetFields({ required }: { readonly required: boolean }) {
  return (
    <>
      <Form.Item
        name="cidr"
        label="Subnet"
        extra={required ? undefined : 'Empty: a subnet can be added later.'}
        rules={[{ required, whitespace: true, message: 'Enter a subnet, as 10.20.0.0/24.' }]}
      >
        <Input placeholder="10.20.0.0/24" />
      </Form.Item>
      <Form.Item name="gateway" label="Gateway" extra="Empty: the subnet’s first address. “none”: no gateway.">
        <Input />
      </Form.Item>
    </>
  );
}

type NetworkValues = SubnetValues & { readonly name: string; readonly shared?: boolean; readonly bridge?: string; readonly vlan?: number };

function CreateNetwork({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  const admin = isAdmin(api.session);
  const create = async (values: NetworkValues): Promise<void> => {
    const bridge = values.bridge?.trim() ?? '';
    const id = await createNetwork(api, {
      name: values.name,
      ...(values.shared === true ? { shared: true } : {}),
      ...(bridge === '' ? {} : { 'provider:physical_network': bridge }),
      ...(values.vlan == null ? {} : { 'provider:network_type': 'vlan', 'provider:segmentation_id': values.vlan }),
    });
    if ((values.cidr ?? '').trim() === '') return;
    try {
      await createSubnet(api, subnetOf(id, `${values.name}-subnet`, values));
    } catch (error) {
      // Half of what was asked for is worse than none of it: it would be in the way of the next attempt.
      await deleteNetwork(api, id).catch(() => {});
      throw error;
    }
  };
  return (
    <FormDialog<NetworkValues>
      title="Create Network"
      ok="Create"
      refreshes="network"
      onSubmit={create}
      said={({ name }) => `Network ${name} created`}
      onClose={onClose}
    >
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
      <SubnetFields required={false} />
      {admin && (
        <>
          <Form.Item name="shared" valuePropName="checked">
            <Checkbox>Shared with every project</Checkbox>
          </Form.Item>
          <Form.Item name="bridge" label="Bridge on the hosts" extra="Empty: the hosts’ own guest bridge.">
            <Input maxLength={15} />
          </Form.Item>
          <Form.Item name="vlan" label="VLAN" extra="2 to 4094. Empty: flat, on the bridge itself.">
            <InputNumber min={2} max={4094} precision={0} />
          </Form.Item>
        </>
      )}
    </FormDialog>
  );
}

function AddSubnet({ network, onClose }: { readonly network: Network; readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<SubnetValues>
      title={`Add a subnet to ${network.name}`}
      ok="Add"
      refreshes="network"
      onSubmit={(values) => createSubnet(api, subnetOf(network.id, `${network.name}-subnet`, values))}
      said={({ cidr }) => `Subnet ${cidr} added to ${network.name}`}
      onClose={onClose}
    >
      <SubnetFields required />
    </FormDialog>
  );
}
