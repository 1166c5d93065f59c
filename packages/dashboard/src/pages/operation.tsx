import { itemStates } from '@godwit/domain/drain-plan/fleet-operation';
import { useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { App, Button, Select } from 'antd';
import { useEffect, useMemo, useRef } from 'react';
import { commandOperation, hostDone, type Operation, type OperationItem, operationShow } from '../api/operations.ts';
import { announce } from '../components/announcer.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { MenuButton } from '../components/menu-button.tsx';
import { operationProgress, operationTitle, StateWord } from '../components/operation-state.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useChange } from '../components/use-change.ts';
import { useNow, When } from '../components/when.tsx';
import { formatDuration } from '../model/formats.ts';
import { operationCsv } from '../model/operation-csv.ts';
import { words } from '../words.ts';

/** One fleet operation, live, from its beginning to its end and after. */
export function OperationPage() {
  const api = useApi();
  const { id = '' } = useParams({ strict: false });
  const known = useQuery(operationShow(api, id));
  const polled = useQuery({ ...operationShow(api, id), refetchInterval: useFallbackPolling(known.data?.finishedAt === null) });
  const operation = polled.data;
  useAnnounced(operation);
  if (operation === undefined) {
    return (
      <>
        <PageHead title="Operation" />
        {polled.isError ? <Problem error={polled.error} what="This operation cannot be shown." /> : <p className="muted">Loading…</p>}
      </>
    );
  }
  return (
    <>
      <PageHead title={operationTitle(operation)}>
        <StateWord state={operation.state} />
        <Commands operation={operation} />
      </PageHead>
      <Course operation={operation} />
      {operation.kind !== 'bulk' && operation.hosts.length > 0 && <Hosts operation={operation} />}
      <Items operation={operation} />
    </>
  );
}

function useAnnounced(operation: Operation | undefined): void {
  const before = useRef<string | null>(null);
  const state = operation?.state ?? null;
  const sentence = operation?.sentence ?? '';
  useEffect(() => {
    if (state === null) return;
    if (before.current !== null && before.current !== state) announce(`${state}: ${sentence}`);
    before.current = state;
  }, [state, sentence]);
}

/** Each command that exists, disabled with the reason while the operation does not allow it. */
function Commands({ operation }: { readonly operation: Operation }) {
  const api = useApi();
  const { modal } = App.useApp();
  const { busy, run } = useChange('operation');
  const { waiting, moving, failed, excluded } = operation.counts;
  const send = (command: keyof typeof words.commands) =>
    run(`${words.commands[command]} accepted`, () => commandOperation(api, operation.id, command));
  const ask = (command: keyof typeof words.commands): void => {
    if (command !== 'abort') return void send(command);
    modal.confirm({
      title: `Abort the rest of ${operationTitle(operation)}?`,
      content: `${waiting === 1 ? 'One instance' : `${waiting} instances`} that ${waiting === 1 ? 'waits' : 'wait'} will not be moved${moving > 0 ? `; ${moving} under way ${moving === 1 ? 'is' : 'are'} carried to the end` : ''}. What has moved stays where it is.`,
      okText: words.commands.abort,
      okButtonProps: { danger: true },
      cancelText: words.dialog.cancel,
      onOk: async () => void (await send('abort')),
    });
  };
  const retried = failed + excluded;
  return (
    <>
      {(['pause', 'resume', 'abort', 'retry'] as const).map((command) => {
        const allowed = operation.commands.includes(command);
        // Of two that exclude each other only the one that can be meant is shown.
        if (!allowed && (command === 'resume' || command === 'retry')) return null;
        if (command === 'pause' && operation.commands.includes('resume')) return null;
        return (
          <Button
            key={command}
            danger={command === 'abort'}
            disabled={!allowed || busy}
            title={allowed ? undefined : `The operation is ${operation.state}.`}
            onClick={() => ask(command)}
          >
            {words.commands[command]}
            {command === 'retry' && ` (${retried})`}
          </Button>
        );
      })}
      <Export operation={operation} />
    </>
  );
}

function Export({ operation }: { readonly operation: Operation }) {
  const save = (text: string, type: string, extension: string): void => {
    const url = URL.createObjectURL(new Blob([text], { type }));
    Object.assign(document.createElement('a'), {
      href: url,
      download: `${operation.kind}-${operation.id.slice(0, 8)}.${extension}`,
    }).click();
    URL.revokeObjectURL(url);
  };
  return (
    <MenuButton
      items={[
        { key: 'csv', label: 'CSV' },
        { key: 'json', label: 'JSON' },
      ]}
      onChoose={(format) =>
        format === 'csv'
          ? save(operationCsv(operation), 'text/csv', 'csv')
          : save(JSON.stringify(operation, null, 2), 'application/json', 'json')
      }
      button={{ children: words.export }}
    />
  );
}

function Course({ operation }: { readonly operation: Operation }) {
  const { ended, total } = operationProgress(operation);
  const percent = total === 0 ? (operation.finishedAt === null ? 0 : 100) : Math.round((100 * ended) / total);
  const now = useNow();
  const end = operation.finishedAt === null ? now : Date.parse(operation.finishedAt);
  const bad = operation.counts.failed + operation.counts.excluded > 0;
  return (
    <section className="panel" aria-label="Course">
      <p style={{ marginTop: 0 }}>
        {operation.sentence}
        {operation.reason !== null && <span className="muted"> Reason: {operation.reason}.</span>}
      </p>
      <div
        className="bar"
        style={{ height: 10, borderRadius: 5 }}
        role="progressbar"
        aria-label="Progress of the operation"
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <span className={bad ? 'added' : ''} style={{ width: `${percent}%` }} />
      </div>
      <div className="muted" style={{ display: 'flex', gap: 16, flexWrap: 'wrap', marginTop: 4 }}>
        <span>
          {ended} of {total}
        </span>
        {itemStates
          .filter((state) => operation.counts[state] > 0)
          .map((state) => (
            <span key={state}>
              {operation.counts[state]} {state}
            </span>
          ))}
        <span>
          for {formatDuration(Math.max(0, Math.floor((end - Date.parse(operation.createdAt)) / 1000) * 1000))}
          {operation.expectedMs !== null && `, expected ${formatDuration(operation.expectedMs)}`}
        </span>
        <span>
          begun <When time={operation.createdAt} />
        </span>
        <span>{operation.parallel === 1 ? 'one at a time' : `${operation.parallel} at the same time`}</span>
      </div>
    </section>
  );
}

function Hosts({ operation }: { readonly operation: Operation }) {
  const api = useApi();
  const { busy, run } = useChange('operation');
  return (
    <section className="panel" aria-label="Hosts of the operation">
      <h2>Hosts</h2>
      <dl className="facts">
        {operation.hosts.map(({ host, step, proof }) => (
          <HostStepRow key={host.id} name={host.name}>
            <StateWord state={step} />{' '}
            {proof !== null && (
              <span>
                {proof.sentence} <When time={proof.at} />
              </span>
            )}{' '}
            {operation.kind === 'rolling' && step === 'in-maintenance' && operation.finishedAt === null && (
              <Button
                size="small"
                disabled={busy}
                onClick={() => void run(`${host.name} is being brought back`, () => hostDone(api, operation.id, host.name))}
              >
                Work on {host.name} is done
              </Button>
            )}
          </HostStepRow>
        ))}
      </dl>
    </section>
  );
}

const HostStepRow = ({ name, children }: { readonly name: string; readonly children: React.ReactNode }) => (
  <>
    <dt>{name}</dt>
    <dd>{children}</dd>
  </>
);

function Items({ operation }: { readonly operation: Operation }) {
  const navigate = useNavigate();
  const { state }: { readonly state?: string } = useSearch({ strict: false });
  const rows = useMemo(
    () => (state === undefined ? operation.items : operation.items.filter((item) => item.state === state)),
    [operation.items, state],
  );
  return (
    <>
      <search className="toolbar">
        <Select
          allowClear
          placeholder="State"
          aria-label="Filter by state"
          style={{ width: 170 }}
          value={state ?? null}
          onChange={(next: string | null | undefined) =>
            void navigate({ to: '.', search: next == null ? {} : { state: next }, replace: true })
          }
          options={itemStates.map((value) => ({ value, label: `${value} (${operation.counts[value]})` }))}
        />
      </search>
      <DataTable<OperationItem>
        label="Instances of the operation"
        tall={rows.length <= 200}
        columns={columns}
        rows={rows}
        rowKey={(item) => `${item.server.id} ${item.direction}`}
        empty={state === undefined ? 'No instance is part of it.' : `No instance is ${state}.`}
      />
    </>
  );
}

const columns: readonly Column<OperationItem>[] = [
  { key: 'position', title: 'Order', className: 'number', sortBy: (item) => item.position, render: (item) => item.position + 1 },
  {
    key: 'server',
    title: words.fields.instance,
    sortBy: (item) => item.server.name,
    render: (item) => (
      <>
        <Link to={`/admin/instances/${item.server.id}`}>{item.server.name}</Link>
        {item.makesRoom && <span className="muted"> makes room</span>}
        {item.direction === 'home' && <span className="muted"> comes home</span>}
      </>
    ),
  },
  { key: 'source', title: 'From', sortBy: (item) => item.source?.name ?? '', render: (item) => item.source?.name ?? '–' },
  {
    key: 'planned',
    title: 'Planned',
    sortBy: (item) => item.planned?.name ?? '',
    render: (item) => (
      <>
        {item.planned?.name ?? words.automatic}
        {item.pinned && <span className="muted"> pinned</span>}
      </>
    ),
  },
  {
    key: 'destination',
    title: 'Went to',
    sortBy: (item) => item.destination?.name ?? '',
    render: (item) =>
      item.state === 'moving' && item.destination !== null ? (
        <span className="muted">going to {item.destination.name}</span>
      ) : (
        (item.destination?.name ?? '–')
      ),
  },
  {
    key: 'state',
    title: 'State',
    sortBy: (item) => item.state,
    render: (item) => (
      <>
        <StateWord state={item.state} />
        {item.attempt > 1 && <span className="muted"> attempt {item.attempt}</span>}
      </>
    ),
  },
  {
    key: 'told',
    title: 'What happened',
    render: (item) => (
      <>
        {item.note}
        {item.cause !== null && (
          <span>
            {item.note !== null && ' '}
            {item.cause.sentence} <span className="muted mono">{item.cause.code}</span>
            {item.cause.remedy !== null && <span className="muted"> {item.cause.remedy}</span>}
          </span>
        )}
      </>
    ),
  },
  {
    key: 'took',
    title: 'Took',
    className: 'number',
    sortBy: (item) => took(item) ?? -1,
    render: (item) => formatDuration(took(item)),
  },
  {
    key: 'run',
    title: 'Run',
    render: (item) => (item.migrationId === null ? '–' : <Link to={`/admin/migrations/${item.migrationId}`}>Run</Link>),
  },
];

const took = (item: OperationItem): number | null =>
  item.startedAt === null || item.finishedAt === null ? null : Date.parse(item.finishedAt) - Date.parse(item.startedAt);
