import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button, Form, Input, InputNumber, Select } from 'antd';
import { useMemo, useState } from 'react';
import { createServerGroup, deleteServerGroup, type GroupPolicy, type ServerGroup, serverGroupList } from '../api/resources.ts';
import { hostOf, type Server, serverList } from '../api/servers.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { groupViolation, policyWords } from '../model/group-rules.ts';
import type { View } from '../sidebar.ts';

export const AdminServerGroups = () => <ServerGroups view="admin" />;
export const ProjectServerGroups = () => <ServerGroups view="project" />;

/** Groups with what their policy means, their members, and on the administrator's page where those run and whether that breaks the rule. */
function ServerGroups({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const [creating, setCreating] = useState(false);
  const { run } = useChange('server');
  const groups = useQuery(serverGroupList(api, admin));
  const servers = useInfiniteQuery(serverList(api, view, {}));
  const byId = useMemo(
    () => new Map((servers.data?.pages ?? []).flatMap((page) => page.servers.map((server) => [server.id, server] as const))),
    [servers.data],
  );
  const columns: readonly Column<ServerGroup>[] = [
    { key: 'name', title: 'Name', sortBy: (group) => group.name, render: (group) => <strong>{group.name}</strong> },
    {
      key: 'policy',
      title: 'Policy',
      sortBy: (group) => group.policy,
      render: (group) => (
        <>
          {group.policy}
          {group.rules.max_server_per_host !== undefined && `, at most ${group.rules.max_server_per_host} per host`}
          <div className="muted">{policyWords[group.policy]}</div>
        </>
      ),
    },
    {
      key: 'members',
      title: admin ? 'Members and where they run' : 'Members',
      render: (group) => <Members group={group} servers={byId} view={view} />,
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 84,
      render: (group) => (
        <DeleteButton
          what="server group"
          name={group.name}
          onDelete={() => run(`Server group ${group.name} deleted`, () => deleteServerGroup(api, group.id))}
        />
      ),
    },
  ];
  return (
    <>
      <PageHead title="Server Groups">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Server Group
        </Button>
      </PageHead>
      {groups.isError && <Problem error={groups.error} what="The server groups could not be listed." />}
      <DataTable<ServerGroup>
        label="Server Groups"
        tall
        columns={columns}
        rows={groups.data ?? []}
        rowKey={(group) => group.id}
        loading={groups.isPending}
        empty="There are no server groups. A group keeps its instances together or apart, at launch and at every move."
      />
      {creating && <CreateGroup onClose={() => setCreating(false)} />}
    </>
  );
}

function Members({
  group,
  servers,
  view,
}: {
  readonly group: ServerGroup;
  readonly servers: ReadonlyMap<string, Server>;
  readonly view: View;
}) {
  if (group.members.length === 0) return <span className="muted">none</span>;
  const hosts = group.members.map((id) => {
    const server = servers.get(id);
    return server === undefined ? null : hostOf(server);
  });
  const violation = view === 'admin' ? groupViolation(group.policy, group.rules.max_server_per_host ?? 1, hosts) : null;
  return (
    <>
      {violation !== null && <div className="bad">{violation}</div>}
      {group.members.map((id, index) => (
        <div key={id}>
          <Link to={`/${view}/instances/${id}`}>{servers.get(id)?.name ?? id.slice(0, 8)}</Link>
          {view === 'admin' && <span className="muted"> on {hosts[index] ?? '–'}</span>}
        </div>
      ))}
    </>
  );
}

type Values = { readonly name: string; readonly policy: GroupPolicy; readonly most?: number | null };

function CreateGroup({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<Values>
      title="Create Server Group"
      ok="Create"
      refreshes="server"
      initial={{ policy: 'anti-affinity' }}
      onSubmit={({ name, policy, most }) => createServerGroup(api, name, policy, policy === 'anti-affinity' ? (most ?? null) : null)}
      said={({ name }) => `Server group ${name} created`}
      onClose={onClose}
    >
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
      <Form.Item name="policy" label="Policy" rules={[{ required: true }]}>
        <Select options={Object.entries(policyWords).map(([value, text]) => ({ value, label: `${value}: ${text}` }))} />
      </Form.Item>
      <Form.Item noStyle shouldUpdate>
        {({ getFieldValue }) =>
          getFieldValue('policy') === 'anti-affinity' && (
            <Form.Item name="most" label="Members per host at most" extra="Empty: one.">
              <InputNumber min={1} precision={0} />
            </Form.Item>
          )
        }
      </Form.Item>
    </FormDialog>
  );
}
