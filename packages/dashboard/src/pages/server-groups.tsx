import type { ServerGroupView } from '@godwit/contract/schemas/godwit/server-groups';
import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { App, Button, Form, Input, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { changeMembership, createServerGroup, deleteServerGroup, type GroupPolicy, serverGroupViews } from '../api/resources.ts';
import type { Server } from '../api/servers.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { ServerChoice } from '../components/server-choice.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { policyWords } from '../model/group-rules.ts';
import type { View } from '../sidebar.ts';
import { statusWord, words } from '../words.ts';

export const AdminServerGroups = () => <ServerGroups view="admin" />;
export const ProjectServerGroups = () => <ServerGroups view="project" />;

/** Groups with what their policy means, their members, where those run (for admins), and what is not as the policy says. Taking a member out, and putting it back, is how a hard rule is overridden. */
function ServerGroups({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const [creating, setCreating] = useState(false);
  const [adding, setAdding] = useState<ServerGroupView | null>(null);
  const { run } = useChange('server');
  const groups = useQuery(serverGroupViews(api));
  const rows = (groups.data ?? []).filter((group) => admin || group.projectId === api.session.project.id);
  const columns: readonly Column<ServerGroupView>[] = [
    { key: 'name', title: 'Name', sortBy: (group) => group.name, render: (group) => <strong>{group.name}</strong> },
    {
      key: 'policy',
      title: 'Policy',
      sortBy: (group) => group.policy,
      render: (group) => (
        <>
          {group.policy}
          {group.maxServerPerHost !== null && `, at most ${group.maxServerPerHost} per host`}
          <div className="muted">{policyWords[group.policy]}</div>
        </>
      ),
    },
    {
      key: 'members',
      title: admin ? 'Members and where they run' : 'Members',
      render: (group) => <Members group={group} view={view} />,
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 190,
      render: (group) => (
        <span style={{ display: 'inline-flex', gap: 6 }}>
          <Button size="small" aria-label={`Add member: ${group.name}`} onClick={() => setAdding(group)}>
            Add member
          </Button>
          <DeleteButton
            what="server group"
            name={group.name}
            onDelete={() => run(`Server group ${group.name} deleted`, () => deleteServerGroup(api, group.id))}
          />
        </span>
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
      <DataTable<ServerGroupView>
        label="Server Groups"
        tall
        columns={columns}
        rows={rows}
        rowKey={(group) => group.id}
        loading={groups.isPending}
        empty="There are no server groups. A group keeps its instances together or apart, at launch and at every move."
      />
      {creating && <CreateGroup onClose={() => setCreating(false)} />}
      {adding !== null && <AddMember group={adding} view={view} onClose={() => setAdding(null)} />}
    </>
  );
}

function Members({ group, view }: { readonly group: ServerGroupView; readonly view: View }) {
  const api = useApi();
  const { modal } = App.useApp();
  const { run } = useChange('server');
  const hard = !group.policy.startsWith('soft-');
  const remove = (member: ServerGroupView['members'][number]): void => {
    modal.confirm({
      title: `Remove ${member.name} from ${group.name}?`,
      content: hard
        ? `Nothing moves. The rule “${policyWords[group.policy]}” no longer binds ${member.name}: it can then be moved where the rule forbids it. Put back, it stays where it is and is shown as a violation.`
        : `Nothing moves. ${member.name} is no longer considered when members of ${group.name} are placed.`,
      okText: 'Remove',
      cancelText: words.dialog.cancel,
      onOk: async () =>
        void (await run(`${member.name} removed from ${group.name}`, () => changeMembership(api, 'DELETE', group.id, member.id))),
    });
  };
  return (
    <>
      {group.violations.map(({ sentence }) => (
        <div key={sentence} className="bad">
          {sentence}
        </div>
      ))}
      {group.members.length === 0 && <span className="muted">none</span>}
      {group.members.map((member) => (
        <div key={member.id}>
          <Link to={`/${view}/instances/${member.id}`}>{member.name}</Link>
          {view === 'admin' && <span className="muted"> on {member.host?.name ?? '–'}</span>}
          {member.status !== 'ACTIVE' && <span className="muted"> {statusWord(member.status)}</span>}
          <Button
            type="text"
            size="small"
            disabled={member.taskState !== null}
            title={member.taskState === null ? undefined : `It has a task (${member.taskState.replaceAll('_', ' ')}); wait for its end.`}
            aria-label={`Remove ${member.name} from ${group.name}`}
            onClick={() => remove(member)}
          >
            ×
          </Button>
        </div>
      ))}
    </>
  );
}

function AddMember({ group, view, onClose }: { readonly group: ServerGroupView; readonly view: View; readonly onClose: () => void }) {
  const api = useApi();
  const mayJoin = (server: Server): boolean =>
    server.tenant_id === group.projectId && !group.members.some((member) => member.id === server.id);
  return (
    <FormDialog<{ readonly server: string }>
      title={`Add a member to ${group.name}`}
      ok="Add"
      refreshes="server"
      onSubmit={({ server }) => changeMembership(api, 'POST', group.id, server)}
      said={() => `Member added to ${group.name}`}
      onClose={onClose}
    >
      <p>
        Nothing moves: the instance stays where it is. If that is not as the policy says ({policyWords[group.policy]}), the group shows it
        as a violation until a move mends it.
      </p>
      <Form.Item name="server" label={words.fields.instance} rules={[{ required: true, message: 'Choose an instance.' }]}>
        <ServerChoice view={view} suits={mayJoin} />
      </Form.Item>
    </FormDialog>
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
