import { useQuery } from '@tanstack/react-query';
import { type Network, networkList, subnetList } from '../api/resources.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';

/** Networks with their subnets. */
export function Networks() {
  const api = useApi();
  const networks = useQuery(networkList(api));
  const subnets = useQuery(subnetList(api));
  const columns: readonly Column<Network>[] = [
    { key: 'name', title: 'Name', sortBy: (network) => network.name, render: (network) => <strong>{network.name || network.id}</strong> },
    { key: 'id', title: 'ID', render: (network) => <CopyableId id={network.id} short what={network.name} /> },
    {
      key: 'status',
      title: 'Status',
      render: (network) => <span className={`status ${network.status === 'ACTIVE' ? 'good' : 'warn'}`}>{network.status}</span>,
    },
    { key: 'shared', title: 'Shared', render: (network) => (network.shared ? 'yes' : 'no') },
    { key: 'mtu', title: 'MTU', className: 'number', sortBy: (network) => network.mtu, render: (network) => network.mtu },
    {
      key: 'subnets',
      title: 'Subnets',
      render: (network) => {
        const own = (subnets.data ?? []).filter((subnet) => subnet.network_id === network.id);
        return own.length === 0 ? (
          <span className="muted">none</span>
        ) : (
          own.map((subnet) => (
            <div key={subnet.id}>
              {subnet.cidr} <span className="muted">{subnet.gateway_ip === null ? 'no gateway' : `gateway ${subnet.gateway_ip}`}</span>
            </div>
          ))
        );
      },
    },
  ];
  return (
    <>
      <PageHead title="Networks" />
      {networks.isError && <Problem error={networks.error} what="The networks could not be listed." />}
      <DataTable<Network>
        label="Networks"
        tall
        columns={columns}
        rows={networks.data ?? []}
        rowKey={(network) => network.id}
        loading={networks.isPending}
        empty="There are no networks. Make one with: openstack network create."
      />
    </>
  );
}
