import { Checkbox, Input } from 'antd';
import { useState } from 'react';
import type { Destination, Destinations } from '../api/destinations.ts';
import { formatMib } from '../model/formats.ts';
import { words } from '../words.ts';
import { type Column, DataTable, moveByArrows } from './data-table.tsx';
import { LoadBar } from './load-bar.tsx';

/** More rows than anybody reads; the best come first. */
const most = 100;

type Row = { readonly kind: 'automatic' } | { readonly kind: 'host'; readonly host: Destination };

/**
 * Destination Host as a table of radio buttons: Automatic first, then the hosts that can take the instance, best first, then those that cannot, with the reasons.
 * `value` null means Automatic.
 */
export function HostTable({
  table,
  value,
  onChange,
  error,
}: {
  readonly table: Destinations | null;
  readonly value: string | null;
  readonly onChange: (host: string | null) => void;
  readonly error: boolean;
}) {
  const hosts = (table?.hosts ?? []).filter((host) => host.hypervisorType !== 'ironic');
  const [onlyPassing, setOnlyPassing] = useState(false);
  const passing = hosts.filter((host) => host.verdict === 'passes');
  const [name, setName] = useState('');
  const shown = (onlyPassing ? passing : hosts).filter((host) => host.name.includes(name.trim()));
  const rows: readonly Row[] = [{ kind: 'automatic' }, ...shown.slice(0, most).map((host): Row => ({ kind: 'host', host }))];
  const selectable = (row: Row): boolean => (row.kind === 'automatic' ? error || passing.length > 0 : row.host.verdict === 'passes');
  const columns: readonly Column<Row>[] = [
    {
      key: 'host',
      title: 'Host',
      render: (row) => {
        const name = row.kind === 'automatic' ? words.automatic : row.host.name;
        const current = row.kind === 'automatic' ? value === null : value === row.host.name;
        return (
          <label style={{ display: 'flex', gap: 8, alignItems: 'center', cursor: selectable(row) ? 'pointer' : 'not-allowed' }}>
            <input
              type="radio"
              name="destination-host"
              checked={current && selectable(row)}
              disabled={!selectable(row)}
              onChange={() => onChange(row.kind === 'automatic' ? null : row.host.name)}
            />
            <strong>{name}</strong>
          </label>
        );
      },
    },
    { key: 'zone', title: 'Zone', className: 'wide', render: (row) => (row.kind === 'automatic' ? '' : row.host.zone) },
    {
      key: 'cpu',
      title: 'vCPUs',
      className: 'wide',
      render: (row) => {
        const host = row.kind === 'host' ? row.host : chosenHost(table);
        return host === null ? '' : <LoadBar label="vCPUs" before={host.loadBefore.vcpus} {...afterOf(host, 'vcpus')} format={String} />;
      },
    },
    {
      key: 'memory',
      title: 'Memory',
      className: 'wide',
      render: (row) => {
        const host = row.kind === 'host' ? row.host : chosenHost(table);
        return host === null ? (
          ''
        ) : (
          <LoadBar label="Memory" before={host.loadBefore.ramMib} {...afterOf(host, 'ramMib')} format={formatMib} />
        );
      },
    },
    {
      key: 'verdict',
      title: 'Verdict',
      render: (row) => (row.kind === 'automatic' ? <Automatic table={table} /> : <Verdict host={row.host} />),
    },
  ];
  return (
    <div onKeyDown={moveByArrows} role="radiogroup" aria-label={words.fields.destinationHost} tabIndex={-1}>
      <DataTable<Row>
        label={words.fields.destinationHost}
        columns={columns}
        rows={rows}
        rowKey={(row) => (row.kind === 'automatic' ? '(automatic)' : row.host.name)}
        rowClass={(row) => (selectable(row) ? '' : 'unavailable')}
        empty=""
        tall
        maxHeight="46vh"
      />
      {hosts.length > 8 && (
        <div style={{ display: 'flex', flexWrap: 'wrap', gap: 12, alignItems: 'center', marginTop: 8 }}>
          <Input
            style={{ width: 180 }}
            placeholder="Host name"
            aria-label="Filter hosts by name"
            value={name}
            onChange={(event) => setName(event.target.value)}
          />
          <Checkbox checked={onlyPassing} onChange={(event) => setOnlyPassing(event.target.checked)}>
            Only hosts that can take it ({passing.length} of {hosts.length})
          </Checkbox>
          {shown.length > most && <span className="muted">The best {most} are shown; type a name to find another.</span>}
        </div>
      )}
    </div>
  );
}

const chosenHost = (table: Destinations | null): Destination | null => table?.hosts.find((host) => host.id === table.chosen?.id) ?? null;

const afterOf = (host: Destination, resource: 'vcpus' | 'ramMib') => (host.verdict === 'passes' ? { after: host.loadAfter[resource] } : {});

function Automatic({ table }: { readonly table: Destinations | null }) {
  if (table === null) return <span className="muted">Asking the scheduler…</span>;
  const chosen = chosenHost(table);
  if (chosen === null) return <span className="bad">No host can take it.</span>;
  const tied = table.hosts.filter((host) => host.tiedWithBest).map((host) => host.name);
  return (
    <span>
      {tied.length > 1 ? `Would take ${tied.join(' or ')}, which are equally good` : `Would take ${chosen.name}`}
      {chosen.why.length > 0 && <span className="muted">: {chosen.why.join('; ')}</span>}
    </span>
  );
}

function Verdict({ host }: { readonly host: Destination }) {
  if (host.verdict === 'passes') {
    return (
      <span>
        <span className="good">Can take it</span>
        {host.why.length > 0 && <span className="muted"> · {host.why.join('; ')}</span>}
      </span>
    );
  }
  const [only, ...others] = host.reasons;
  if (only !== undefined && others.length === 0) {
    return (
      <span>
        {only.sentence}
        {only.smallestChange !== null && ` (${only.smallestChange})`}
      </span>
    );
  }
  return (
    <ul style={{ margin: 0, paddingLeft: 16 }}>
      {host.reasons.map((reason) => (
        <li key={`${reason.filter} ${reason.code}`}>
          {reason.sentence}
          {reason.smallestChange !== null && <span> ({reason.smallestChange})</span>}
        </li>
      ))}
    </ul>
  );
}
