import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { App, Button, Input, Popover } from 'antd';
import { lazy, Suspense, useMemo, useState } from 'react';
import { type Host, type HostFactsAnswer, hostFacts, hostList, switchHost } from '../api/hosts.ts';
import { announce } from '../components/announcer.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { Dialog } from '../components/dialog.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { LoadBar } from '../components/load-bar.tsx';
import { MenuButton } from '../components/menu-button.tsx';
import { MenuEntry } from '../components/menu-entry.tsx';
import { OperationList } from '../components/operation-list.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { When } from '../components/when.tsx';
import { formatGib } from '../model/formats.ts';
import { words } from '../words.ts';

const RestoreHostDialog = lazy(async () => ({ default: (await import('../dialogs/restore-host.tsx')).RestoreHostDialog }));
const EvacuateHostDialog = lazy(async () => ({ default: (await import('../dialogs/evacuate-host.tsx')).EvacuateHostDialog }));

/** Services and hypervisors in one table. */
export function Hosts() {
  const api = useApi();
  const queries = useQueryClient();
  const { message } = App.useApp();
  const navigate = useNavigate();
  const [disabling, setDisabling] = useState<Host | null>(null);
  const [dialog, setDialog] = useState<{ readonly kind: 'restore' | 'evacuate'; readonly host: string } | null>(null);
  const hosts = useQuery({ ...hostList(api), refetchInterval: useFallbackPolling(false) });
  const facts = useQuery(hostFacts(api));
  const { name = '' }: { readonly name?: string } = useSearch({ strict: false });
  const rows = (hosts.data ?? []).filter((host) => host.name.includes(name.trim()));
  const columns = useMemo(() => {
    const change = async (host: Host, to: Parameters<typeof switchHost>[2]): Promise<void> => {
      try {
        await switchHost(api, host, to);
        announce(`${host.name} is ${to.enabled ? 'enabled' : 'disabled'}`);
      } catch (error) {
        void message.error(error instanceof Error ? error.message : String(error), 8);
      }
      await queries.invalidateQueries({ queryKey: ['host'] });
    };
    const factsOf = new Map((facts.data ?? []).map((fact) => [fact.id, fact]));
    const act = (host: Host, action: HostAction): void => {
      if (action === 'disable') setDisabling(host);
      else if (action === 'enable') void change(host, { enabled: true });
      else if (action === 'bulk') void navigate({ to: '/admin/bulk', search: { host: host.name } });
      else if (action === 'drain' || action === 'maintenance')
        void navigate({ to: '/admin/drain', search: { hosts: host.name, kind: action } });
      else setDialog({ kind: action, host: host.name });
    };
    return columnsOf(factsOf, act);
  }, [api, queries, message, navigate, facts.data]);
  return (
    <>
      <PageHead title="Compute Hosts">
        <span className="muted">
          {rows.length} {rows.length === 1 ? 'host' : 'hosts'}
        </span>
        <Button onClick={() => void navigate({ to: '/admin/drain', search: { kind: 'rolling' } })}>{words.operations.rolling}</Button>
      </PageHead>
      <search className="toolbar">
        <Input
          allowClear
          placeholder="Name"
          aria-label="Filter by name"
          style={{ width: 160 }}
          value={name}
          onChange={({ target }) => void navigate({ to: '.', search: target.value === '' ? {} : { name: target.value }, replace: true })}
        />
      </search>
      <OperationList />
      {hosts.isError && <Problem error={hosts.error} what="The hosts could not be listed." />}
      <DataTable<Host>
        label="Compute Hosts"
        columns={columns}
        rows={rows}
        rowKey={(host) => host.id}
        loading={hosts.isFetching && hosts.data === undefined}
        empty={
          name === ''
            ? 'No host has joined yet. `godwit host add NAME` gives the token with which one does.'
            : 'No host has a name like this.'
        }
      />
      {disabling !== null && <DisableHost host={disabling} onClose={() => setDisabling(null)} />}
      {dialog !== null && (
        <Suspense>
          {dialog.kind === 'restore' ? (
            <RestoreHostDialog host={dialog.host} onClose={() => setDialog(null)} />
          ) : (
            <EvacuateHostDialog host={dialog.host} onClose={() => setDialog(null)} />
          )}
        </Suspense>
      )}
    </>
  );
}

type HostAction = 'enable' | 'disable' | 'bulk' | 'drain' | 'maintenance' | 'restore' | 'evacuate';

/** A row's menu; what is impossible says why. */
function hostActions(host: Host): readonly { readonly action: HostAction; readonly label: string; readonly reason: string | null }[] {
  const metal = host.type === 'ironic' ? 'Bare metal instances cannot be migrated.' : null;
  const down = host.state === 'down' ? 'The host is not heard from: its guests cannot be moved while they run.' : null;
  const empty = host.instances === 0 ? 'There is nothing on it.' : null;
  return [
    { action: 'bulk', label: words.bulkLiveMigrate, reason: metal ?? empty ?? down },
    { action: 'drain', label: words.operations.drain, reason: metal ?? down },
    { action: 'maintenance', label: words.operations.maintenance, reason: metal ?? down },
    { action: 'restore', label: words.operations.restore, reason: metal ?? down ?? (host.enabled ? 'The host is enabled.' : null) },
    {
      action: 'evacuate',
      label: words.operations.evacuate,
      reason: metal ?? (host.state === 'up' ? 'The host is up: use drain, which loses nothing.' : null),
    },
  ];
}

function columnsOf(
  facts: ReadonlyMap<string, HostFactsAnswer>,
  onAction: (host: Host, action: HostAction) => void,
): readonly Column<Host>[] {
  return [
    {
      key: 'name',
      title: 'Host',
      sortBy: (host) => host.name,
      render: (host) => (
        <Link to="/admin/instances" search={{ host: host.name }}>
          {host.name}
        </Link>
      ),
    },
    { key: 'zone', title: 'Zone', className: 'wide', sortBy: (host) => host.zone, render: (host) => host.zone },
    {
      key: 'state',
      title: 'State',
      sortBy: (host) => host.state,
      render: (host) => (
        <span className={`status ${host.state === 'down' ? 'bad' : host.enabled ? 'good' : 'warn'}`}>
          {host.state}
          <HeardFrom host={host} />
          {!host.enabled && (
            <span title={host.disabledReason ?? ''}>, disabled{host.disabledReason === null ? '' : `: ${host.disabledReason}`}</span>
          )}
          {host.forcedDown && ', forced down'}
        </span>
      ),
    },
    { key: 'instances', title: 'Instances', className: 'number', sortBy: (host) => host.instances, render: (host) => host.instances },
    loadColumn('vcpus', 'vCPUs', facts, (host) => host.vcpus, String),
    loadColumn('ramMib', 'Memory', facts, (host) => host.ramMib, inGib),
    loadColumn('diskGib', 'Disk', facts, (host) => host.diskGib, formatGib),
    {
      key: 'version',
      title: 'QEMU',
      className: 'wide',
      sortBy: (host) => host.version,
      render: (host) => {
        const known = facts.get(host.id);
        return host.type === 'ironic' ? (
          'bare metal'
        ) : (
          <span
            title={
              known === undefined
                ? undefined
                : `Agent ${known.agentVersion}, kernel ${known.kernel}, ${host.cpuModel}; ${known.acceleratorReason}`
            }
          >
            {host.version} {known?.accelerator ?? ''}
          </span>
        );
      },
    },
    {
      key: 'load',
      title: 'Load',
      className: 'number wide',
      sortBy: (host) => facts.get(host.id)?.load[0] ?? -1,
      render: (host) => {
        const load = facts.get(host.id)?.load;
        return load === undefined || host.type === 'ironic' ? (
          '–'
        ) : (
          <span title={`Processes that run or wait, over 1, 5 and 15 minutes: ${load.map((one) => one.toFixed(2)).join(', ')}`}>
            {load[0]?.toFixed(2)}
          </span>
        );
      },
    },
    { key: 'self-test', title: 'Self-test', className: 'wide', render: (host) => <SelfTest host={host} facts={facts.get(host.id)} /> },
    {
      key: 'actions',
      title: 'Actions',
      className: 'pinned',
      width: 140,
      render: (host) => (
        <span style={{ display: 'inline-flex', gap: 4 }}>
          <Button
            size="small"
            aria-label={`${host.enabled ? 'Disable' : 'Enable'} ${host.name}`}
            onClick={() => onAction(host, host.enabled ? 'disable' : 'enable')}
          >
            {host.enabled ? 'Disable' : 'Enable'}
          </Button>
          <MenuButton
            items={hostActions(host).map(({ action, label, reason }) => ({
              key: action,
              disabled: reason !== null,
              label: <MenuEntry title={label} reason={reason} />,
            }))}
            onChoose={(key) => onAction(host, key as HostAction)}
            button={{ size: 'small', 'aria-label': `${words.more}: ${host.name}`, children: words.more }}
          />
        </span>
      ),
    },
  ];
}

/** One resource of a host: promised of what may be promised, and how that follows from what there is. */
function loadColumn(
  resource: keyof HostFactsAnswer['allocationRatios'],
  title: string,
  facts: ReadonlyMap<string, HostFactsAnswer>,
  load: (host: Host) => { readonly used: number; readonly total: number },
  format: (amount: number) => string,
): Column<Host> {
  const ratioOf = (host: Host): number => facts.get(host.id)?.allocationRatios[resource] ?? 1;
  const capacityOf = (host: Host): number => Math.floor(load(host).total * ratioOf(host));
  return {
    key: resource,
    title,
    className: resource === 'diskGib' ? 'wide roomy' : 'wide',
    sortBy: (host) => (capacityOf(host) === 0 ? 0 : load(host).used / capacityOf(host)),
    render: (host) =>
      // Without the ratio a host would look full that is not.
      facts.has(host.id) && (
        <LoadBar
          label={title}
          before={{ used: load(host).used, capacity: capacityOf(host) }}
          format={format}
          promised={{ physical: load(host).total, ratio: ratioOf(host) }}
        />
      ),
  };
}

/** All in one unit: rows are compared. */
const inGib = (mib: number): string => `${mib === 0 ? 0 : (mib / 1024).toFixed(1)} GiB`;

/** When a host that is down was last heard from; one that is up is heard from every few seconds. */
function HeardFrom({ host }: { readonly host: Host }) {
  if (host.state === 'up') return null;
  return (
    <span>
      ,{' '}
      {host.seenAt === null ? (
        'never heard from'
      ) : (
        <>
          heard from <When time={host.seenAt} />
        </>
      )}
    </span>
  );
}

function SelfTest({ host, facts }: { readonly host: Host; readonly facts: HostFactsAnswer | undefined }) {
  if (facts === undefined || facts.selfTest.length === 0) return '–';
  const works = facts.selfTest.filter((test) => test.works).length;
  return (
    <Popover
      trigger="click"
      title={`Self-test of ${host.name}`}
      content={
        <ul style={{ maxWidth: 'min(420px, 72vw)', paddingLeft: 16, margin: 0 }}>
          {facts.selfTest.map((test) => (
            <li key={test.feature}>
              {test.feature}: <span className={test.works ? 'good' : 'bad'}>{test.works ? 'works' : 'does not work'}</span>{' '}
              <span className="muted">{test.detail}</span>
            </li>
          ))}
        </ul>
      }
    >
      <Button type="text" size="small" aria-label={`${works}/${facts.selfTest.length}: self-test of ${host.name}`}>
        {works}/{facts.selfTest.length}
      </Button>
    </Popover>
  );
}

function DisableHost({ host, onClose }: { readonly host: Host; readonly onClose: () => void }) {
  const api = useApi();
  const queries = useQueryClient();
  const [reason, setReason] = useState('');
  const [busy, setBusy] = useState(false);
  const [refused, setRefused] = useState<unknown>(null);
  const disable = async (): Promise<void> => {
    setBusy(true);
    try {
      await switchHost(api, host, { enabled: false, reason: reason.trim() });
      announce(`${host.name} is disabled`);
      await queries.invalidateQueries({ queryKey: ['host'] });
      onClose();
    } catch (error) {
      setRefused(error);
      setBusy(false);
    }
  };
  return (
    <Dialog
      title={`Disable ${host.name}`}
      okText="Disable"
      okButtonProps={{ loading: busy }}
      onOk={() => void disable()}
      onCancel={onClose}
    >
      {refused !== null && <Problem error={refused} what={`${host.name} was not disabled.`} />}
      <p>
        Its {host.instances} {host.instances === 1 ? 'instance keeps' : 'instances keep'} running; nothing new is placed on it and nothing
        migrates to it until it is enabled again.
      </p>
      <label htmlFor="disable-reason">Reason, shown to whoever asks why the host is not taken</label>
      <Input
        id="disable-reason"
        autoFocus
        maxLength={255}
        value={reason}
        onChange={(event) => setReason(event.target.value)}
        onPressEnter={() => void disable()}
      />
    </Dialog>
  );
}
