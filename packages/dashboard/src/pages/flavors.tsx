import { useQuery } from '@tanstack/react-query';
import { Button, Form, Input, InputNumber } from 'antd';
import { useState } from 'react';
import { createFlavor, deleteFlavor, type Flavor, flavorList } from '../api/resources.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { DeleteButton } from '../components/delete-button.tsx';
import { FormDialog } from '../components/form-dialog.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { formatMib } from '../model/formats.ts';

export function Flavors() {
  const api = useApi();
  const [creating, setCreating] = useState(false);
  const flavors = useQuery(flavorList(api));
  const { run } = useChange('flavor');
  const columns: readonly Column<Flavor>[] = [
    { key: 'name', title: 'Name', sortBy: (flavor) => flavor.name, render: (flavor) => <strong>{flavor.name}</strong> },
    { key: 'id', title: 'ID', className: 'wide', render: (flavor) => <CopyableId id={flavor.id} short what={flavor.name} /> },
    { key: 'vcpus', title: 'vCPUs', className: 'number', sortBy: (flavor) => flavor.vcpus, render: (flavor) => flavor.vcpus },
    { key: 'ram', title: 'Memory', className: 'number', sortBy: (flavor) => flavor.ram, render: (flavor) => formatMib(flavor.ram) },
    { key: 'disk', title: 'Disk', className: 'number', sortBy: (flavor) => flavor.disk, render: (flavor) => `${flavor.disk} GiB` },
    { key: 'public', title: 'Public', render: (flavor) => (flavor['os-flavor-access:is_public'] ? 'yes' : 'no') },
    {
      key: 'specs',
      title: 'Extra specs',
      render: (flavor) => {
        const text = Object.entries(flavor.extra_specs ?? {})
          .map(([key, value]) => `${key}=${value}`)
          .join(', ');
        return text === '' ? <span className="muted">none</span> : <span title={text}>{text}</span>;
      },
    },
    {
      key: 'actions',
      title: 'Actions',
      className: 'pinned',
      width: 84,
      render: (flavor) => (
        <DeleteButton
          what="flavor"
          name={flavor.name}
          onDelete={() => run(`Flavor ${flavor.name} deleted`, () => deleteFlavor(api, flavor.id))}
        />
      ),
    },
  ];
  return (
    <>
      <PageHead title="Flavors">
        <Button type="primary" onClick={() => setCreating(true)}>
          Create Flavor
        </Button>
      </PageHead>
      {flavors.isError && <Problem error={flavors.error} what="The flavors could not be listed." />}
      <DataTable<Flavor>
        label="Flavors"
        columns={columns}
        rows={flavors.data ?? []}
        rowKey={(flavor) => flavor.id}
        loading={flavors.isPending}
        empty="There are no flavors. A flavor is the size of an instance; create one before the first launch."
      />
      {creating && <CreateFlavor onClose={() => setCreating(false)} />}
    </>
  );
}

type Values = { readonly name: string; readonly vcpus: number; readonly ram: number; readonly disk: number; readonly description?: string };

function CreateFlavor({ onClose }: { readonly onClose: () => void }) {
  const api = useApi();
  const amount = (name: 'vcpus' | 'ram' | 'disk', label: string, min: number) => (
    <Form.Item name={name} label={label} rules={[{ required: true, message: 'Enter a number.' }]}>
      <InputNumber min={min} precision={0} style={{ width: 160 }} />
    </Form.Item>
  );
  return (
    <FormDialog<Values>
      title="Create Flavor"
      ok="Create"
      refreshes="flavor"
      initial={{ vcpus: 1, ram: 512, disk: 1 }}
      onSubmit={({ description, ...flavor }) =>
        createFlavor(api, { ...flavor, ...(description === undefined || description === '' ? {} : { description }) })
      }
      said={({ name }) => `Flavor ${name} created`}
      onClose={onClose}
    >
      <Form.Item name="name" label="Name" rules={[{ required: true, whitespace: true, message: 'Enter a name.' }]}>
        <Input autoFocus maxLength={255} />
      </Form.Item>
      {amount('vcpus', 'vCPUs', 1)}
      {amount('ram', 'Memory (MiB)', 1)}
      {amount('disk', 'Disk (GiB)', 0)}
      <Form.Item name="description" label="Description">
        <Input maxLength={255} />
      </Form.Item>
    </FormDialog>
  );
}
