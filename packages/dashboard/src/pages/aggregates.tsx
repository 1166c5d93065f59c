import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, Select, Tag } from 'antd';
import { useState } from 'react';
import { hostList } from '../api/hosts.ts';
import {
  type Aggregate,
  aggregateList,
  changeAggregateHost,
  createAggregate,
  deleteAggregate,
  type Zone,
  zoneList,
} from '../api/resources.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';

/** Aggregates with their hosts, and the zones that they make. */
export function Aggregates() {
  const api = useApi();
  const [creating, setCreating] = useState(false);
  const aggregates = useQuery(aggregateList(api));
  const zones = useQuery(zoneList(api));
  const hosts = useQuery(hostList(api));
  const { busy, run } = useChange('host');
  const columns: readonly Column<Aggregate>[] = [
    { key: 'name', title: 'Name', sortBy: (one) => one.name, render: (one) => <strong>{one.name}</strong> },
    {
      key: 'zone',
      title: 'Availability zone',
      sortBy: (one) => one.availability_zone ?? '',
      render: (one) => one.availability_zone ?? <span className="muted">none</span>,
    },
    {
      key: 'hosts',
      title: 'Hosts',
      render: (one) => (
        <span style={{ display: 'inline-flex', flexWrap: 'wrap', gap: 4, alignItems: 'center' }}>
          {one.hosts.map((host) => (
            <Tag key={host} style={{ margin: 0 }}>
              {host}{' '}
              <Button
                type="text"
                size="small"
                disabled={busy}
                aria-label={`Remove ${host} from ${one.name}`}
                onClick={() => void run(`${host} removed from ${one.name}`, () => changeAggregateHost(api, one.id, 'remove_host', host))}
              >
                ×
              </Button>
            </Tag>
          ))}
          <Select
            size="small"
            style={{ width: 120 }}
            placeholder="Add host"
            aria-label={`Add a host to ${one.name}`}
            disabled={busy}
            value={null}
            onChange={(host: string | null) => {
              if (host !== null) void run(`${host} added to ${one.name}`, () => changeAggregateHost(api, one.id, 'add_host', host));
            }}
            options={(hosts.data ?? []).filter(({ name }) => !one.hosts.includes(name)).map(({ name }) => ({ value: name, label: name }))}
          />
        </span>
      ),
    },
    {
      key: 'metadata',
      title: 'Metadata',
      render: (one) =>
        Object.entries(one.metadata)
          .filter(([key]) => key !== 'availability_zone')
          .map(([key, value]) => `${key}=${value}`)
          .join(', ') || <span className="muted">none</span>,
    },
    {
      key: 'actions',
      title: 'Actions',
      width: 84,
      render: (one) => (
        <DeleteButton
          what="aggregate"
          name={one.name}
          onDelete={() => run(`Aggregate ${one.name} deleted`, () => deleteAggregate(api, one.id))}
        />
      ),
    },
  ];
  const zoneColumns: readonly Column<Zone>[] = [
    { key: 'name', title: 'Zone', sortBy: (zone) => zone.zoneName, render: (zone) => zone.zoneName },
    {
      key: 'state',
      title: 'State',
      render: ({ zoneState: { available } }) => (
        <span className={`status ${available ? 'good' : 'bad'}`}>{available ? 'available' : 'not available'}</span>
      ),
    },
    {
      key: 'hosts',
      title: 'Hosts',
      render: (zone) =>
        (hosts.data ?? [])
          .filter((host) => host.zone === zone.zoneName)
          .map((host) => host.name)
          .join(', '),
    },
  ];
  return (
    <>
      <PageHead title="Availability Zones / Aggregates">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Aggregate
        </Button>
      </PageHead>
      {aggregates.isError && <Problem error={aggregates.error} what="The aggregates could not be listed." />}
      <h2>Availability zones</h2>
      <DataTable<Zone>
        label="Availability zones"
        columns={zoneColumns}
        rows={zones.data ?? []}
        rowKey={(zone) => zone.zoneName}
        loading={zones.isPending}
        empty="There are no zones before the first host joins."
      />
      <h2>Aggregates</h2>
      <DataTable<Aggregate>
        label="Aggregates"
        tall
        columns={columns}
        rows={aggregates.data ?? []}
        rowKey={(one) => String(one.id)}
        loading={aggregates.isPending}
        empty="There are no aggregates. An aggregate groups hosts; one with a zone's name makes them that zone."
      />
      {creating && <CreateAggregate onClose={() => setCreating(false)} />}
    </>
  );
}

type Values = { readonly name: string; readonly zone?: string };

function CreateAggregate({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  return (
    <FormDialog<Values>
      title="Create Aggregate"
      ok="Create"
      refreshes="host"
      onSubmit={({ name, zone }) => createAggregate(api, name, zone === undefined || zone.trim() === '' ? null : zone.trim())}
      said={({ name }) => `Aggregate ${name} created`}
      onClose={onClose}
    >
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
      <Form.Item name="zone" label="Availability zone" extra="Empty: the aggregate makes no zone.">
        <Input maxLength={255} />
      </Form.Item>
    </FormDialog>
  );
}
