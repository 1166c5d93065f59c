import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { projectList } from '../api/resources.ts';
import {
  addSecurityGroupRule,
  createSecurityGroup,
  deleteSecurityGroup,
  deleteSecurityGroupRule,
  type SecurityGroup,
  type SecurityGroupRule,
  securityGroupList,
} from '../api/security-groups.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { ruleWords } from '../model/rule-words.ts';
import type { View } from '../sidebar.ts';

export const AdminSecurityGroups = () => <SecurityGroups view="admin" />;
export const ProjectSecurityGroups = () => <SecurityGroups view="project" />;

/** Groups of rules: what may reach the ports that carry them, and what those may reach. */
function SecurityGroups({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const [creating, setCreating] = useState(false);
  const [adding, setAdding] = useState<SecurityGroup | null>(null);
  const groups = useQuery(securityGroupList(api));
  const projects = useQuery({ ...projectList(api), enabled: admin });
  const projectNames = new Map((projects.data ?? []).map(({ id, name }) => [id, name]));
  const { busy, run } = useChange('security-group');
  const names = new Map((groups.data ?? []).map(({ id, name }) => [id, name]));
  const projectOf = (group: SecurityGroup): string => projectNames.get(group.project_id) ?? group.project_id.slice(0, 8);
  const columns: readonly Column<SecurityGroup>[] = [
    {
      key: 'name',
      title: 'Name',
      sortBy: ({ name }) => name,
      render: ({ name, description }) => (
        <>
          <strong>{name}</strong>
          <div className="muted">{description}</div>
        </>
      ),
    },
    { key: 'id', title: 'ID', className: 'wide', render: ({ id, name }) => <CopyableId id={id} short what={name} /> },
    ...(admin ? [{ key: 'project', title: 'Project', sortBy: projectOf, render: projectOf }] : []),
    {
      key: 'rules',
      title: 'Lets through',
      render: (group) => (
        <>
          {group.security_group_rules.length === 0 && <span className="muted">nothing, in either direction</span>}
          {group.security_group_rules.toSorted(byDirection).map((rule) => {
            const text = ruleWords(rule, names);
            return (
              <div key={rule.id}>
                {text}
                <Button
                  type="text"
                  size="small"
                  disabled={busy}
                  aria-label={`Delete the rule ${text} of ${group.name}`}
                  onClick={() => void run(`Rule ${text} deleted`, () => deleteSecurityGroupRule(api, rule.id))}
                >
                  ×
                </Button>
              </div>
            );
          })}
        </>
      ),
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 180,
      render: (group) => (
        <span style={{ display: 'inline-flex', gap: 6 }}>
          <Button size="small" aria-label={`Add rule: ${group.name}`} onClick={() => setAdding(group)}>
            Add rule
          </Button>
          {group.name !== 'default' && (
            <DeleteButton
              what="security group"
              name={group.name}
              onDelete={() => run(`Security group ${group.name} deleted`, () => deleteSecurityGroup(api, group.id))}
            />
          )}
        </span>
      ),
    },
  ];
  return (
    <>
      <PageHead title="Security Groups">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Security Group
        </Button>
      </PageHead>
      {groups.isError && <Problem error={groups.error} what="The security groups could not be listed." />}
      <DataTable<SecurityGroup>
        label="Security Groups"
        tall
        columns={columns}
        rows={(groups.data ?? []).filter((group) => admin || group.project_id === api.session.project.id)}
        rowKey={({ id }) => id}
        loading={groups.isPending}
        empty="There are no security groups. What a port lets through is the sum of its groups’ rules; the rest is dropped."
      />
      {creating && <CreateGroup onClose={() => setCreating(false)} />}
      {adding !== null && <AddRule group={adding} groups={groups.data ?? []} onClose={() => setAdding(null)} />}
    </>
  );
}

function CreateGroup({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<{ readonly name: string; readonly description?: string }>
      title="Create Security Group"
      ok="Create"
      refreshes="security-group"
      onSubmit={({ name, description }) => createSecurityGroup(api, { name: name.trim(), description: description ?? '' })}
      said={({ name }) => `Security group ${name} created`}
      onClose={onClose}
    >
      <p>A new group lets everything out and nothing in, until it has rules of its own.</p>
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
      <Form.Item name="description" label="Description">
        <Input maxLength={255} />
      </Form.Item>
    </FormDialog>
  );
}

type RuleValues = {
  readonly direction: 'ingress' | 'egress';
  readonly ethertype: 'IPv4' | 'IPv6';
  readonly protocol: 'any' | 'tcp' | 'udp' | 'icmp';
  readonly first?: number | null;
  readonly last?: number | null;
  readonly prefix?: string;
  readonly remote?: string;
};

function AddRule(props: { readonly group: SecurityGroup; readonly groups: readonly SecurityGroup[]; readonly onClose: () => void }) {
  const { group, groups, onClose } = props;
  const api = useApi();
  const add = async ({ direction, ethertype, protocol, first, last, prefix, remote }: RuleValues): Promise<void> => {
    const ported = protocol === 'tcp' || protocol === 'udp';
    await addSecurityGroupRule(api, {
      security_group_id: group.id,
      direction,
      ethertype,
      ...(protocol === 'any' ? {} : { protocol: protocol === 'icmp' && ethertype === 'IPv6' ? 'ipv6-icmp' : protocol }),
      ...(ported && first != null ? { port_range_min: first, port_range_max: last ?? first } : {}),
      ...(remote !== undefined ? { remote_group_id: remote } : prefix?.trim() ? { remote_ip_prefix: prefix.trim() } : {}),
    });
  };
  const options = (values: readonly string[], labels: Readonly<Record<string, string>> = {}) =>
    values.map((value) => ({ value, label: labels[value] ?? value }));
  return (
    <FormDialog<RuleValues>
      title={`Add a rule to ${group.name}`}
      ok="Add"
      refreshes="security-group"
      initial={{ direction: 'ingress', ethertype: 'IPv4', protocol: 'tcp' }}
      onSubmit={add}
      said={() => `Rule added to ${group.name}`}
      onClose={onClose}
    >
      <Form.Item name="direction" label="Direction" required>
        <Select options={options(['ingress', 'egress'], { ingress: 'in', egress: 'out' })} />
      </Form.Item>
      <Form.Item name="ethertype" label="Address family" required>
        <Select options={options(['IPv4', 'IPv6'])} />
      </Form.Item>
      <Form.Item name="protocol" label="Protocol" required>
        <Select options={options(['tcp', 'udp', 'icmp', 'any'], { tcp: 'TCP', udp: 'UDP', icmp: 'ICMP' })} />
      </Form.Item>
      <Form.Item name="first" label="First port" extra="None: every port. For TCP and UDP.">
        <InputNumber min={1} max={65_535} precision={0} />
      </Form.Item>
      <Form.Item name="last" label="Last port" extra="None: the first port only.">
        <InputNumber min={1} max={65_535} precision={0} />
      </Form.Item>
      <Form.Item name="prefix" label="Addresses" extra="None: anywhere.">
        <Input placeholder="10.0.0.0/8" maxLength={64} />
      </Form.Item>
      <Form.Item name="remote" label="Or members of a group">
        <Select allowClear options={groups.map(({ id, name }) => ({ value: id, label: name }))} />
      </Form.Item>
    </FormDialog>
  );
}

/** What comes in first, IPv4 before IPv6; otherwise as the API has them. */
const byDirection = (a: SecurityGroupRule, b: SecurityGroupRule): number =>
  b.direction === a.direction ? a.ethertype.localeCompare(b.ethertype) : a.direction === 'ingress' ? -1 : 1;
