import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { App, Button, Input, Modal, Popover } from 'antd';
import { useMemo, useState } from 'react';
import { type Host, type HostFactsAnswer, hostFacts, hostList, switchHost } from '../api/hosts.ts';
import { announce } from '../components/announcer.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { LoadBar } from '../components/load-bar.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { When } from '../components/when.tsx';
import { formatMib } from '../model/formats.ts';
import { words } from '../words.ts';

/** Services and hypervisors in one table. */
export function Hosts() {
  const api = useApi();
  const queries = useQueryClient();
  const { message } = App.useApp();
  const [disabling, setDisabling] = useState<Host | null>(null);
  const hosts = useQuery({ ...hostList(api), refetchInterval: useFallbackPolling(false) });
  const facts = useQuery(hostFacts(api));
  const rows = hosts.data ?? [];
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
    return columnsOf(factsOf, (host) => (host.enabled ? setDisabling(host) : void change(host, { enabled: true })));
  }, [api, queries, message, facts.data]);
  return (
    <>
      <PageHead title="Compute Hosts">
        <span className="muted">{rows.length} hosts</span>
      </PageHead>
      {hosts.isError && <Problem error={hosts.error} what="The hosts could not be listed." />}
      <DataTable<Host>
        label="Compute Hosts"
        columns={columns}
        rows={rows}
        rowKey={(host) => host.id}
        loading={hosts.isFetching && hosts.data === undefined}
        empty="No host has joined yet. Make a join token on the controller and start an agent with it."
      />
      {disabling !== null && <DisableHost host={disabling} onClose={() => setDisabling(null)} />}
    </>
  );
}

function columnsOf(facts: ReadonlyMap<string, HostFactsAnswer>, onSwitch: (host: Host) => void): readonly Column<Host>[] {
  const share = (used: number, total: number): number => (total === 0 ? 0 : used / total);
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
    { key: 'zone', title: 'Zone', sortBy: (host) => host.zone, render: (host) => host.zone },
    {
      key: 'state',
      title: 'State',
      sortBy: (host) => host.state,
      render: (host) => (
        <span className={`status ${host.state === 'down' ? 'bad' : host.enabled ? 'good' : 'warn'}`}>
          {host.state}
          {!host.enabled && (
            <span title={host.disabledReason ?? ''}>, disabled{host.disabledReason === null ? '' : `: ${host.disabledReason}`}</span>
          )}
          {host.forcedDown && ', forced down'}
        </span>
      ),
    },
    { key: 'instances', title: 'Instances', className: 'number', sortBy: (host) => host.instances, render: (host) => host.instances },
    {
      key: 'cpu',
      title: 'vCPUs',
      sortBy: (host) => share(host.vcpus.used, host.vcpus.total),
      render: (host) => <LoadBar label="vCPUs" before={{ used: host.vcpus.used, capacity: host.vcpus.total }} format={String} />,
    },
    {
      key: 'memory',
      title: 'Memory',
      sortBy: (host) => share(host.ramMib.used, host.ramMib.total),
      render: (host) => <LoadBar label="Memory" before={{ used: host.ramMib.used, capacity: host.ramMib.total }} format={formatMib} />,
    },
    {
      key: 'disk',
      title: 'Disk',
      sortBy: (host) => share(host.diskGib.used, host.diskGib.total),
      render: (host) => (
        <LoadBar label="Disk" before={{ used: host.diskGib.used, capacity: host.diskGib.total }} format={(gib) => `${gib} GiB`} />
      ),
    },
    {
      key: 'version',
      title: 'Hypervisor',
      sortBy: (host) => host.version,
      render: (host) => (host.type === 'ironic' ? 'bare metal' : `QEMU ${host.version} ${facts.get(host.id)?.accelerator ?? ''}`),
    },
    { key: 'self-test', title: 'Self-test', render: (host) => <SelfTest host={host} facts={facts.get(host.id)} /> },
    { key: 'seen', title: 'Seen', render: (host) => (host.seenAt === null ? 'never' : <When time={host.seenAt} />) },
    {
      key: 'actions',
      title: 'Actions',
      className: 'pinned',
      width: 84,
      render: (host) => (
        <Button size="small" aria-label={`${host.enabled ? 'Disable' : 'Enable'} ${host.name}`} onClick={() => onSwitch(host)}>
          {host.enabled ? 'Disable' : 'Enable'}
        </Button>
      ),
    },
  ];
}

function SelfTest({ host, facts }: { readonly host: Host; readonly facts: HostFactsAnswer | undefined }) {
  if (facts === undefined || facts.selfTest.length === 0) return '–';
  const works = facts.selfTest.filter((test) => test.works).length;
  return (
    <Popover
      trigger="click"
      title={`Self-test of ${host.name}`}
      content={
        <ul style={{ maxWidth: 420, paddingLeft: 16, margin: 0 }}>
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
    <Modal
      open
      title={`Disable ${host.name}`}
      okText="Disable"
      cancelText={words.dialog.cancel}
      okButtonProps={{ loading: busy }}
      onOk={() => void disable()}
      onCancel={onClose}
      destroyOnHidden
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
    </Modal>
  );
}
