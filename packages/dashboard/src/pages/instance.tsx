import { useQuery, useQueryClient } from '@tanstack/react-query';
import { Link, useNavigate, useParams, useSearch } from '@tanstack/react-router';
import { Alert, Tabs } from 'antd';
import { lazy, Suspense, useEffect, useRef } from 'react';
import { serverDisks } from '../api/destinations.ts';
import { hostList } from '../api/hosts.ts';
import { imageList, projectList, serverGroupList } from '../api/resources.ts';
import { hostOf, listedServer, type Server, serverShow } from '../api/servers.ts';
import { announce } from '../components/announcer.tsx';
import { CopyableId } from '../components/copyable-id.tsx';
import { CurrentMove } from '../components/current-move.tsx';
import { Interfaces } from '../components/interfaces.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { ServerActions } from '../components/server-actions.tsx';
import { useApi } from '../components/signed-in.tsx';
import { ServerStatus } from '../components/status.tsx';
import { When } from '../components/when.tsx';
import { formatBytes, formatMib, formatVcpus } from '../model/formats.ts';
import type { View } from '../sidebar.ts';
import { statusWord, words } from '../words.ts';

const ServerMigrations = lazy(async () => ({ default: (await import('./server-migrations.tsx')).ServerMigrations }));
const ActionLog = lazy(async () => ({ default: (await import('./action-log.tsx')).ActionLog }));
const Console = lazy(async () => ({ default: (await import('./console.tsx')).Console }));

export const AdminInstance = () => <Instance view="admin" />;
export const ProjectInstance = () => <Instance view="project" />;

type Tab = keyof typeof words.tabs;

/** One server at its own URL; the open tab is part of it. */
function Instance({ view }: { readonly view: View }) {
  const api = useApi();
  const queries = useQueryClient();
  const navigate = useNavigate();
  const { id } = useParams({ strict: false });
  const { tab = 'overview' }: { tab?: string } = useSearch({ strict: false });
  const serverId = id ?? '';
  const known = useQuery(serverShow(api, serverId));
  const inMotion = known.data !== undefined && known.data['OS-EXT-STS:task_state'] !== null;
  const polled = useQuery({
    ...serverShow(api, serverId),
    refetchInterval: useFallbackPolling(inMotion),
    placeholderData: () => listedServer(queries, serverId),
  });
  const hosts = useQuery({ ...hostList(api), enabled: view === 'admin' });
  const server = polled.data;
  useAnnounced(server);
  if (server === undefined) {
    return (
      <>
        <PageHead title="Instance" />
        {polled.isError ? <Problem error={polled.error} what="This instance cannot be shown." /> : <p className="muted">Loading…</p>}
      </>
    );
  }
  const host = hosts.data?.find(({ name }) => name === hostOf(server));
  const tabs: readonly Tab[] = view === 'admin' ? ['overview', 'migrations', 'actions', 'console'] : ['overview', 'actions', 'console'];
  const shown = tabs.find((key) => key === tab) ?? 'overview';
  const content = (key: Tab) => {
    switch (key) {
      case 'overview':
        return (
          <>
            <Overview server={server} view={view} />
            <Interfaces server={server} />
          </>
        );
      case 'migrations':
        return <ServerMigrations server={server} />;
      case 'actions':
        return <ActionLog serverId={server.id} />;
      case 'console':
        return <Console server={server} view={view} />;
    }
  };
  return (
    <>
      <PageHead title={server.name}>
        <ServerStatus server={server} />
        <ServerActions server={server} view={view} hypervisorType={host?.type ?? null} />
      </PageHead>
      {server.fault !== undefined && (
        <Alert type="error" showIcon title={server.fault.message} description={server.fault.details} style={{ marginBottom: 12 }} />
      )}
      {view === 'admin' && server['OS-EXT-STS:task_state'] === 'migrating' && <CurrentMove server={server} />}
      <Tabs
        activeKey={shown}
        onChange={(key) => void navigate({ to: '.', search: key === 'overview' ? {} : { tab: key }, replace: true })}
        items={tabs.map((key) => ({
          key,
          label: words.tabs[key],
          children: key === shown && <Suspense fallback={<p className="muted">Loading…</p>}>{content(key)}</Suspense>,
        }))}
      />
    </>
  );
}

/** Changes of status and host are told to screen readers; progress is not. */
function useAnnounced(server: Server | undefined): void {
  const before = useRef<{ readonly status: string; readonly host: string | null } | null>(null);
  const status = server?.status;
  const host = server === undefined ? null : hostOf(server);
  const name = server?.name;
  useEffect(() => {
    if (status === undefined) return;
    const last = before.current;
    before.current = { status, host };
    if (last === null) return;
    if (last.host !== host && host !== null && status !== 'MIGRATING') announce(`${name ?? ''} is ${statusWord(status)} on ${host}`);
    else if (last.status !== status) announce(`${name ?? ''} is ${statusWord(status)}`);
  }, [status, host, name]);
}

function Overview({ server, view }: { readonly server: Server; readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const disks = useQuery(serverDisks(api, server.id));
  const images = useQuery({ ...imageList(api), enabled: server.image !== '' });
  const groups = useQuery(serverGroupList(api, admin));
  const projects = useQuery({ ...projectList(api), enabled: admin });
  const imageId = server.image === '' ? null : server.image.id;
  const memberships = (groups.data ?? []).filter((group) => group.members.includes(server.id));
  const host = hostOf(server);
  return (
    <div className="columns">
      <section className="panel">
        <h2>Instance</h2>
        <dl className="facts">
          <dt>ID</dt>
          <dd>
            <CopyableId id={server.id} what={server.name} />
          </dd>
          <dt>Status</dt>
          <dd>
            <ServerStatus server={server} />
          </dd>
          {admin && (
            <>
              <dt>Host</dt>
              <dd data-testid="host">{host ?? '–'}</dd>
            </>
          )}
          <dt>Zone</dt>
          <dd>{server['OS-EXT-AZ:availability_zone'] || '–'}</dd>
          {admin && (
            <>
              <dt>Project</dt>
              <dd>{projects.data?.find((project) => project.id === server.tenant_id)?.name ?? server.tenant_id}</dd>
            </>
          )}
          <dt>Image</dt>
          <dd>{imageId === null ? 'none' : (images.data?.find((image) => image.id === imageId)?.name ?? imageId)}</dd>
          <dt>Key pair</dt>
          <dd>{server.key_name ?? 'none'}</dd>
          <dt>Created</dt>
          <dd>
            <When time={server.created} />
          </dd>
        </dl>
      </section>
      <section className="panel">
        <h2>Size, disks and addresses</h2>
        <dl className="facts">
          <dt>Flavor</dt>
          <dd>
            {server.flavor.original_name}: {formatVcpus(server.flavor.vcpus)}, {formatMib(server.flavor.ram)}
          </dd>
          <dt>Disks</dt>
          <dd>
            {disks.data === undefined && '–'}
            {disks.data?.length === 0 && 'none'}
            {disks.data?.map((disk) => (
              <div key={disk.id}>
                {formatBytes(disk.sizeBytes)} {disk.format} in pool {disk.pool}:{' '}
                {disk.storage === 'shared' ? 'shared, every host reaches it' : 'local, only its host reaches it'}
              </div>
            ))}
          </dd>
          <dt>Addresses</dt>
          <dd>
            {Object.entries(server.addresses).map(([network, list]) =>
              list.map((address) => (
                <div key={`${network} ${address.addr}`}>
                  {address.addr} <span className="muted">in {network}</span>{' '}
                  <span className="mono muted">{address['OS-EXT-IPS-MAC:mac_addr']}</span>
                </div>
              )),
            )}
            {Object.keys(server.addresses).length === 0 && 'none'}
          </dd>
          <dt>Security groups</dt>
          <dd>
            {server.security_groups === undefined || server.security_groups.length === 0 ? (
              'none'
            ) : (
              <Link to={admin ? '/admin/security-groups' : '/project/security-groups'}>
                {[...new Set(server.security_groups.map(({ name }) => name))].join(', ')}
              </Link>
            )}
          </dd>
          <dt>Server groups</dt>
          <dd>
            {memberships.length === 0 && 'none'}
            {memberships.map((group) => (
              <div key={group.id}>
                <Link to={admin ? '/admin/server-groups' : '/project/server-groups'}>{group.name}</Link>{' '}
                <span className="muted">{group.policy}</span>
              </div>
            ))}
          </dd>
        </dl>
      </section>
    </div>
  );
}
