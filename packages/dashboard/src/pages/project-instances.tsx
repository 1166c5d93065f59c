import { useQuery } from '@tanstack/react-query';
import { Table, Typography } from 'antd';
import { useApi } from '../components/signed-in.tsx';
import { statusWord } from '../words.ts';

type Server = { readonly id: string; readonly name: string; readonly status: string };

export function ProjectInstances() {
  const api = useApi();
  const servers = useQuery({
    queryKey: ['server', 'list', 'project'],
    queryFn: async () => api.get<{ servers: Server[] }>('/compute/v2.1/servers/detail'),
  });
  return (
    <>
      <Typography.Title level={1} style={{ fontSize: 20 }}>
        Instances
      </Typography.Title>
      <Table<Server>
        rowKey="id"
        size="small"
        loading={servers.isLoading}
        dataSource={servers.data?.servers ?? []}
        columns={[
          { title: 'Name', dataIndex: 'name' },
          { title: 'Status', render: (_, server) => statusWord(server.status) },
        ]}
      />
    </>
  );
}
