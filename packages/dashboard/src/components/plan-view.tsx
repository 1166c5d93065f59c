import { Link } from '@tanstack/react-router';
import { Button, Select, Tag } from 'antd';
import type { Plan } from '../api/operations.ts';
import { formatBytes, formatDuration } from '../model/formats.ts';
import type { PlanEdit } from '../model/plan-edit.ts';
import { stateInTheWay } from '../model/state-in-the-way.ts';
import { statusWord } from '../words.ts';
import { type Column, DataTable } from './data-table.tsx';

type Item = Plan['items'][number];
type Exclusion = Plan['excluded'][number];

const methods: Readonly<Record<Item['method'], (status: string) => string>> = {
  live: () => 'live',
  cold: (status) => (status === 'SHUTOFF' ? 'moved, and stays off' : 'shut down and moved'),
  restart: () => 'restarted from disk',
};

/** A proposed plan: what moves where, in which order, and what cannot and why. Rows can be fixed to a host or left out; the others stay. */
export function PlanView(props: {
  readonly plan: Plan;
  readonly edit: PlanEdit;
  /** Hosts that a row may be fixed to. */
  readonly hosts: readonly string[];
  readonly onPin?: (server: string, host: string | null) => void;
  readonly onLeaveOut?: (server: string, out: boolean) => void;
}) {
  const { plan, edit, hosts, onPin, onLeaveOut } = props;
  return (
    <>
      <Summary plan={plan} edit={edit} />
      <DataTable<Item>
        label="Plan"
        tall
        columns={itemColumns(edit, hosts, onPin, onLeaveOut)}
        rows={plan.items}
        rowKey={(item) => item.server.id}
        rowClass={(item) => (edit.leftOut.has(item.server.id) ? 'unavailable' : '')}
        empty={plan.excluded.length === 0 ? 'There is nothing to move.' : 'Nothing of this can be moved now; the reasons are below.'}
        maxHeight="60vh"
      />
      {plan.excluded.length > 0 && (
        <>
          <h2>{plan.excluded.length === 1 ? 'One instance' : `${plan.excluded.length} instances`} cannot be moved</h2>
          <DataTable<Exclusion>
            label="Exclusions"
            tall
            columns={exclusionColumns(plan.kind, edit, onPin)}
            rows={plan.excluded}
            rowKey={({ server }) => server.id}
            empty=""
            maxHeight="40vh"
          />
        </>
      )}
    </>
  );
}

function Summary({ plan, edit }: { readonly plan: Plan; readonly edit: PlanEdit }) {
  const moving = plan.items.filter((item) => !edit.leftOut.has(item.server.id)).length;
  const { durationMs, waves, bytes, linkBytesPerSecond, measured } = plan.expected;
  return (
    <section className="panel" aria-label="Summary of the plan">
      <p style={{ margin: 0 }}>
        <strong>
          {moving} {moving === 1 ? 'instance' : 'instances'} would move
        </strong>
        {moving > 0 && (
          <>
            {' '}
            in {waves} {waves === 1 ? 'wave' : 'waves'}, {formatBytes(bytes)}, in about {formatDuration(durationMs)}{' '}
            <span className="muted">
              at {formatBytes(linkBytesPerSecond)}/s, {measured ? 'as earlier moves were' : 'which is assumed: nothing has moved there yet'}
            </span>
          </>
        )}
        . {plan.search.sentence} <span className="muted">Nothing moves yet.</span>
      </p>
    </section>
  );
}

function itemColumns(
  edit: PlanEdit,
  hosts: readonly string[],
  onPin: ((server: string, host: string | null) => void) | undefined,
  onLeaveOut: ((server: string, out: boolean) => void) | undefined,
): readonly Column<Item>[] {
  const destination = (item: Item) => {
    if (onPin === undefined) return item.destination.name;
    return (
      <Select
        size="small"
        style={{ width: 170 }}
        aria-label={`Destination of ${item.server.name}`}
        disabled={edit.leftOut.has(item.server.id)}
        value={edit.pins[item.server.id] ?? ''}
        onChange={(host: string) => onPin(item.server.id, host === '' ? null : host)}
        options={[
          { value: '', label: `${item.destination.name} (proposed)` },
          ...hosts.filter((host) => host !== item.source.name).map((host) => ({ value: host, label: `${host}, pinned` })),
        ]}
      />
    );
  };
  return [
    { key: 'position', title: 'Order', className: 'number', render: (item) => item.position + 1 },
    {
      key: 'server',
      title: 'Instance',
      render: (item) => (
        <>
          <Link to={`/admin/instances/${item.server.id}`}>{item.server.name}</Link>{' '}
          <span className="muted">{statusWord(item.server.status)}</span> {item.makesRoom && <Tag>makes room</Tag>}
        </>
      ),
    },
    { key: 'source', title: 'From', render: (item) => item.source.name },
    { key: 'destination', title: 'To', render: destination },
    { key: 'method', title: 'How', render: (item) => methods[item.method](item.server.status) },
    { key: 'wave', title: 'Wave', className: 'number', render: (item) => item.wave },
    {
      key: 'expected',
      title: 'Expected',
      render: (item) => (
        <span style={{ whiteSpace: 'nowrap' }} title={`${formatBytes(item.bytes)} to send`}>
          {formatDuration(item.expected.startMs)} – {formatDuration(item.expected.endMs)}
        </span>
      ),
    },
    { key: 'why', title: 'Why there', render: (item) => <span className="muted">{item.why.join('; ')}</span> },
    ...(onLeaveOut === undefined
      ? []
      : [
          {
            key: 'actions',
            title: 'Actions',
            render: (item: Item) => {
              const out = edit.leftOut.has(item.server.id);
              return (
                <Button
                  size="small"
                  aria-label={`${out ? 'Take again' : 'Leave out'} ${item.server.name}`}
                  onClick={() => onLeaveOut(item.server.id, !out)}
                >
                  {out ? 'Take again' : 'Leave out'}
                </Button>
              );
            },
          },
        ]),
  ];
}

function exclusionColumns(
  kind: Plan['kind'],
  edit: PlanEdit,
  onPin: ((server: string, host: string | null) => void) | undefined,
): readonly Column<Exclusion>[] {
  return [
    {
      key: 'server',
      title: 'Instance',
      render: ({ server }) => (
        <>
          <Link to={`/admin/instances/${server.id}`}>{server.name}</Link> <span className="muted">{statusWord(server.status)}</span>
        </>
      ),
    },
    { key: 'source', title: 'On', render: ({ source }) => source?.name ?? '–' },
    {
      key: 'reason',
      title: 'Why not',
      render: ({ server, source, code, reason, hosts }) => (
        <>
          {/* What the compute API would say names the action and the id; here the status is what matters. */}
          {code === 'InvalidState' && source !== null ? stateInTheWay(kind, server.status) : reason}{' '}
          <span className="muted mono">{code}</span>
          {hosts.length > 0 && (
            <details>
              <summary className="muted">Per host</summary>
              <ul style={{ margin: 0, paddingLeft: 16 }}>
                {hosts.map(({ name, sentence, smallestChange }) => (
                  <li key={name}>
                    <strong>{name}</strong> {sentence}
                    {smallestChange !== null && ` (${smallestChange})`}
                  </li>
                ))}
              </ul>
            </details>
          )}
        </>
      ),
    },
    {
      key: 'remedy',
      title: 'What would move it',
      render: ({ server, remedy, override }) => (
        <>
          {remedy ?? '–'}
          {override !== null && (
            <div>
              Override: take it out of <Link to="/admin/server-groups">{override.serverGroup.name}</Link> ({override.serverGroup.policy}),
              move it, add it again.
            </div>
          )}
          {onPin !== undefined && edit.pins[server.id] !== undefined && (
            <div>
              <Button size="small" onClick={() => onPin(server.id, null)}>
                No longer pinned to {edit.pins[server.id]}
              </Button>
            </div>
          )}
        </>
      ),
    },
  ];
}
