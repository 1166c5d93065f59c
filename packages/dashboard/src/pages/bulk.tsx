import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Checkbox, InputNumber, Select } from 'antd';
import { useState } from 'react';
import { type Host, hostList } from '../api/hosts.ts';
import { type PlanRequest, planOf } from '../api/operations.ts';
import { type BlockChoice, BlockSelect } from '../components/block-choice.tsx';
import { useConfirmOperation } from '../components/confirm-operation.ts';
import { PageHead } from '../components/page-head.tsx';
import { PlanView } from '../components/plan-view.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { itemsOf, pinsOf, unedited, withLeftOut, withPin } from '../model/plan-edit.ts';
import { words } from '../words.ts';

type Filters = { readonly host?: string; readonly destination?: string };

/** Live-migrates what is on a host: the plan first, which can be edited, then the run. The URL holds source and destination. */
export function BulkLiveMigrate() {
  const api = useApi();
  const navigate = useNavigate();
  const { host, destination }: Filters = useSearch({ strict: false });
  const [block, setBlock] = useState<BlockChoice>('auto');
  const [parallel, setParallel] = useState(1);
  const [moveOthers, setMoveOthers] = useState(false);
  const [edit, setEdit] = useState(unedited);
  const { confirm, refused } = useConfirmOperation();
  const hosts = useQuery(hostList(api));
  const able = (hosts.data ?? []).filter((one) => one.type !== 'ironic');
  const request: PlanRequest = {
    kind: 'bulk',
    select: { host: host ?? '' },
    destination: destination ?? null,
    pins: pinsOf(edit),
    blockMigration: block,
    parallel,
    moveOthers,
  };
  const plan = useQuery({ ...planOf(api, request), enabled: host !== undefined });
  const set = (change: Partial<Record<keyof Filters, string | undefined>>): void => {
    setEdit(unedited);
    void navigate({ to: '.', search: (before: Filters) => ({ ...before, ...change }), replace: true });
  };
  const items = plan.data === undefined ? [] : itemsOf(plan.data, edit);
  const count = items.length === 1 ? 'one instance' : `${items.length} instances`;
  return (
    <>
      <PageHead title={words.bulkLiveMigrate}>
        <Button
          type="primary"
          disabled={items.length === 0 || plan.isFetching}
          onClick={() =>
            confirm(
              {
                title: `Live-migrate ${count}?`,
                content: `${count} of ${host ?? ''} move one after another${parallel > 1 ? `, at most ${parallel} at the same time` : ''}. At each turn the scheduler decides again; a row that you have pinned fails rather than going elsewhere.`,
              },
              { kind: 'bulk', items, blockMigration: block, parallel, moveOthers },
            )
          }
        >
          {words.dialog.confirm}
        </Button>
      </PageHead>
      <div className="toolbar fields">
        <Field label={words.bulkFields.sourceHost} htmlFor="source-host">
          <HostSelect id="source-host" hosts={able} value={host} placeholder="Choose a host" onChange={(next) => set({ host: next })} />
        </Field>
        <Field label={words.fields.destinationHost} htmlFor="destination-host">
          <HostSelect
            id="destination-host"
            hosts={able.filter((one) => one.name !== host)}
            value={destination}
            placeholder={words.automatic}
            onChange={(next) => set({ destination: next })}
          />
        </Field>
        <Field label={words.fields.blockMigrate} htmlFor="block-migrate">
          <BlockSelect value={block} onChange={setBlock} />
        </Field>
        <Field label={words.bulkFields.parallel} htmlFor="parallel">
          <InputNumber
            id="parallel"
            min={1}
            max={100}
            precision={0}
            style={{ width: 110 }}
            value={parallel}
            onChange={(next) => setParallel(next ?? 1)}
          />
        </Field>
        <Checkbox checked={moveOthers} onChange={(event) => setMoveOthers(event.target.checked)}>
          {words.bulkFields.moveOthers}
        </Checkbox>
      </div>
      <p className="muted">
        Active and Paused instances only. With {words.automatic} the scheduler picks for each. This is the plan: nothing moves before{' '}
        {words.dialog.confirm}.
      </p>
      {refused !== null && <Problem error={refused} what="The run was refused; nothing moves." />}
      {plan.isError && <Problem error={plan.error} what="No plan could be made." />}
      {host === undefined && <p className="panel">Choose the host whose instances are to move.</p>}
      {host !== undefined && plan.isPending && <p className="muted">Planning…</p>}
      {host !== undefined && plan.data !== undefined && (
        <PlanView
          plan={plan.data}
          edit={edit}
          hosts={able.map((one) => one.name)}
          onPin={(server, to) => setEdit((before) => withPin(before, server, to))}
          onLeaveOut={(server, out) => setEdit((before) => withLeftOut(before, server, out))}
        />
      )}
    </>
  );
}

function Field({ label, htmlFor, children }: { readonly label: string; readonly htmlFor: string; readonly children: React.ReactNode }) {
  return (
    <div>
      <label htmlFor={htmlFor}>{label}</label>
      {children}
    </div>
  );
}

function HostSelect(props: {
  readonly id: string;
  readonly hosts: readonly Host[];
  readonly value: string | undefined;
  readonly placeholder: string;
  readonly onChange: (host: string | undefined) => void;
}) {
  const { id, hosts, value, placeholder, onChange } = props;
  return (
    <Select
      id={id}
      allowClear
      showSearch
      placeholder={placeholder}
      style={{ width: 190 }}
      value={value ?? null}
      onChange={(next: string | null | undefined) => onChange(next ?? undefined)}
      options={hosts.map((host) => ({
        value: host.name,
        label: `${host.name}${host.state === 'down' ? ' (down)' : host.enabled ? '' : ' (disabled)'}`,
      }))}
    />
  );
}
