import type { QuotaName } from '@godwit/domain/quotas';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Form, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { changeQuotas, projectUsage, quotaDetail, type ServerUsage } from '../api/quotas.ts';
import { type Project, projectList } from '../api/resources.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { LoadBar } from '../components/load-bar.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatMib, formatVcpus } from '../model/formats.ts';
import { type QuotaRow, quotaChange, quotaRows } from '../model/quota-rows.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';

export const AdminQuotas = () => <Quotas view="admin" />;
export const ProjectQuotas = () => <Quotas view="project" />;

const periods = ['1', '7', '30', '90'] as const;
const usualDays = '30';

/** What a project may have, what it has, and what it has used. Administrators see every project, and set its limits. The URL holds project and period. */
function Quotas({ view }: { readonly view: View }) {
  const api = useApi();
  const navigate = useNavigate();
  const { project, days = usualDays }: { readonly project?: string; readonly days?: string } = useSearch({ strict: false });
  const [changing, setChanging] = useState(false);
  const own = api.session.project;
  const projects = useQuery({ ...projectList(api), enabled: view === 'admin' });
  const shown: Project = view === 'project' || project === undefined ? own : { id: project, name: project };
  const name = (projects.data ?? [own]).find(({ id }) => id === shown.id)?.name ?? shown.name;
  const quotas = useQuery({ ...quotaDetail(api, shown.id), refetchInterval: useFallbackPolling(false) });
  const rows = quotas.data === undefined ? [] : quotaRows(quotas.data);
  return (
    <>
      <PageHead title={words.quotas}>
        {view === 'admin' && (
          <Button type="primary" disabled={quotas.data === undefined} onClick={() => setChanging(true)}>
            Change Limits
          </Button>
        )}
      </PageHead>
      <search className="toolbar">
        {view === 'admin' && (
          <Select
            aria-label="Project"
            style={{ width: 200 }}
            value={shown.id}
            onChange={(next: string) =>
              void navigate({ to: '.', search: (before: object) => ({ ...before, project: next }), replace: true })
            }
            options={(projects.data ?? [own]).map(({ id, name: label }) => ({ value: id, label }))}
            showSearch={{ optionFilterProp: 'label' }}
          />
        )}
        <Select
          aria-label="Period of the usage"
          style={{ width: 150 }}
          value={days}
          onChange={(next: string) => void navigate({ to: '.', search: (before: object) => ({ ...before, days: next }), replace: true })}
          options={periods.map((value) => ({ value, label: value === '1' ? 'Last day' : `Last ${value} days` }))}
        />
      </search>
      {quotas.isError && <Problem error={quotas.error} what="The quotas could not be read." />}
      <h2>Limits of {name}</h2>
      <DataTable<QuotaRow>
        label="Limits"
        tall
        columns={limitColumns}
        rows={rows}
        rowKey={(row) => row.name}
        loading={quotas.isPending}
        empty="This cloud tells no limits."
      />
      <Usage view={view} projectId={shown.id} days={periods.find((value) => value === days) ?? usualDays} />
      {changing && <LimitsDialog project={{ id: shown.id, name }} rows={rows} onClose={() => setChanging(false)} />}
    </>
  );
}

const limitColumns: readonly Column<QuotaRow>[] = [
  { key: 'title', title: 'Resource', render: ({ title }) => title },
  { key: 'used', title: 'In use', className: 'number', render: ({ used, format }) => (used === null ? '–' : format(used)) },
  {
    key: 'limit',
    title: 'Limit',
    className: 'number',
    render: ({ limit, format }) => (limit === null ? <span className="muted">none</span> : format(limit)),
  },
  {
    key: 'load',
    title: 'Share',
    width: 260,
    render: ({ title, used, limit, format }) =>
      used === null || limit === null ? '' : <LoadBar label={title} before={{ used, capacity: limit }} format={format} />,
  },
];

function LimitsDialog(props: { readonly project: Project; readonly rows: readonly QuotaRow[]; readonly onClose: () => void }) {
  const { project, onClose } = props;
  // As they were when it was opened: what somebody else changes meanwhile is not changed back.
  const [rows] = useState(props.rows);
  const api = useApi();
  type Values = Partial<Record<QuotaName, number | null>>;
  return (
    <FormDialog<Values>
      title={`Limits of ${project.name}`}
      ok="Change"
      refreshes="quota"
      initial={Object.fromEntries(rows.map(({ name, limit }) => [name, limit]))}
      onSubmit={(values) => changeQuotas(api, project.id, quotaChange(rows, values))}
      said={() => `Limits of ${project.name} changed`}
      onClose={onClose}
    >
      <p>Empty means no limit. What is in use stays; a limit below it is refused.</p>
      {rows.map(({ name, title, used, format }) => (
        <Form.Item
          key={name}
          name={name}
          label={name === 'ram' ? `${title}, MiB` : title}
          extra={used === null ? undefined : `${format(used)} in use`}
        >
          <InputNumber min={0} max={2_147_483_647} precision={0} placeholder="no limit" style={{ width: 180 }} />
        </Form.Item>
      ))}
    </FormDialog>
  );
}

const shortly = (amount: number): string => (amount < 10 ? amount.toFixed(1) : String(Math.round(amount)));

function Usage({ view, projectId, days }: { readonly view: View; readonly projectId: string; readonly days: string }) {
  const api = useApi();
  const usage = useQuery(projectUsage(api, projectId, Number(days)));
  const sum = usage.data;
  const figures = [
    ['Instance hours', shortly(sum?.total_hours ?? 0)],
    ['vCPU hours', shortly(sum?.total_vcpus_usage ?? 0)],
    ['Memory, GiB hours', shortly((sum?.total_memory_mb_usage ?? 0) / 1024)],
    ['Disk, GiB hours', shortly(sum?.total_local_gb_usage ?? 0)],
  ] as const;
  return (
    <>
      <h2>{days === '1' ? 'Used in the last day' : `Used in the last ${days} days`}</h2>
      {usage.isError && <Problem error={usage.error} what="The usage could not be read." />}
      {sum !== undefined && (
        <section className="panel" aria-label="Usage">
          <dl className="figures">
            {figures.map(([title, value]) => (
              <div key={title}>
                <dt>{title}</dt>
                <dd>{value}</dd>
              </div>
            ))}
          </dl>
        </section>
      )}
      <DataTable<ServerUsage>
        label="Usage of each instance"
        columns={usageColumns(view)}
        rows={sum?.server_usages ?? []}
        rowKey={(server) => server.instance_id}
        loading={usage.isPending}
        empty="Nothing ran in this time."
        maxHeight="50vh"
      />
    </>
  );
}

const usageColumns = (view: View): readonly Column<ServerUsage>[] => [
  {
    key: 'name',
    title: words.fields.instance,
    sortBy: (server) => server.name,
    render: (server) =>
      server.state === 'terminated' ? server.name : <Link to={`/${view}/instances/${server.instance_id}`}>{server.name}</Link>,
  },
  { key: 'flavor', title: 'Flavor', sortBy: (server) => server.flavor, render: (server) => server.flavor },
  {
    key: 'size',
    title: 'Size',
    render: (server) => `${formatVcpus(server.vcpus)}, ${formatMib(server.memory_mb)}, ${server.local_gb} GiB`,
  },
  { key: 'hours', title: 'Hours', className: 'number', sortBy: (server) => server.hours, render: (server) => shortly(server.hours) },
  {
    key: 'state',
    title: 'State',
    sortBy: (server) => server.state,
    render: (server) => (server.state === 'terminated' ? <span className="muted">deleted</span> : server.state),
  },
];
