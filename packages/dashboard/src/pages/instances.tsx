import { useInfiniteQuery, useQuery } from '@tanstack/react-query';
import { Link, useNavigate, useSearch } from '@tanstack/react-router';
import { Button, Input, Select } from 'antd';
import { lazy, Suspense, useCallback, useDeferredValue, useEffect, useMemo, useState } from 'react';
import { type Host, hostList } from '../api/hosts.ts';
import { projectList, serverGroupList } from '../api/resources.ts';
import { addressesOf, hostOf, type Server, type ServerFilters, serverList, serversById } from '../api/servers.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { type Column, DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { ServerActions } from '../components/server-actions.tsx';
import { useApi } from '../components/signed-in.tsx';
import { ServerStatus } from '../components/status.tsx';
import { WaitingMoves } from '../components/waiting-moves.tsx';
import { When } from '../components/when.tsx';
import { formatVcpus, parseTime } from '../model/formats.ts';
import type { View } from '../sidebar.ts';
import { statusWords, words } from '../words.ts';

const LaunchDialog = lazy(async () => ({ default: (await import('../dialogs/launch-instance.tsx')).LaunchDialog }));

export const AdminInstances = () => <Instances view="admin" />;
export const ProjectInstances = () => <Instances view="project" />;

/** Servers with their live status. The URL holds the filters. */
function Instances({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const filters: ServerFilters = useSearch({ strict: false });
  const navigate = useNavigate();
  const [launching, setLaunching] = useState(false);
  const hosts = useQuery({ ...hostList(api), enabled: admin });
  const projects = useQuery({ ...projectList(api), enabled: admin });
  const groups = useQuery(serverGroupList(api, admin));
  const [moving, setMoving] = useState(false);
  const servers = useInfiniteQuery({
    ...serverList(api, view, filters),
    refetchInterval: useFallbackPolling(moving),
    enabled: filters.group === undefined,
  });
  const members = groups.data?.find((group) => group.id === filters.group)?.members ?? [];
  const grouped = filters.group !== undefined;
  const ofGroup = useQuery({ ...serversById(api, members), enabled: grouped && groups.data !== undefined });
  const rows = useMemo(
    () =>
      grouped
        ? (ofGroup.data ?? []).filter((server) => isShown(server, filters))
        : (servers.data?.pages ?? []).flatMap((page) => page.servers),
    [servers.data, ofGroup.data, grouped, filters],
  );
  const inMotion = rows.some((server) => server['OS-EXT-STS:task_state'] !== null);
  useEffect(() => setMoving(inMotion), [inMotion]);
  const columns = useMemo(
    () => columnsOf(view, new Map((projects.data ?? []).map((project) => [project.id, project.name])), hosts.data ?? []),
    [view, projects.data, hosts.data],
  );
  const { isFetching, fetchNextPage } = servers;
  const hasNextPage = servers.hasNextPage && !grouped;
  const more = useCallback(() => {
    if (hasNextPage && !isFetching) void fetchNextPage();
  }, [hasNextPage, isFetching, fetchNextPage]);
  const filtered = Object.values(filters).some((value) => value !== undefined);
  return (
    <>
      <PageHead title="Instances">
        <span className="muted" aria-live="off">
          {rows.length}
          {hasNextPage ? '+' : ''} {rows.length === 1 ? 'instance' : 'instances'}
        </span>
        {admin && (
          <Button onClick={() => void navigate({ to: '/admin/bulk', search: filters.host === undefined ? {} : { host: filters.host } })}>
            {words.bulkLiveMigrate}
          </Button>
        )}
        <Button type="primary" onClick={() => setLaunching(true)}>
          {words.launchInstance}
        </Button>
      </PageHead>
      <Filters
        key={view}
        view={view}
        filters={filters}
        hosts={(hosts.data ?? []).map((host) => host.name)}
        projects={(projects.data ?? []).map((project) => ({ value: project.id, label: project.name }))}
        groups={(groups.data ?? []).map((group) => ({ value: group.id, label: group.name }))}
      />
      {servers.isError && <Problem error={servers.error} what="The instances could not be listed." />}
      <WaitingMoves view={view} />
      <DataTable<Server>
        label="Instances"
        columns={columns}
        rows={rows}
        rowKey={(server) => server.id}
        loading={(servers.isFetching || ofGroup.isFetching) && rows.length === 0}
        onNearEnd={more}
        empty={filtered ? 'No instance matches these filters.' : 'There are no instances yet. Launch the first one with the button above.'}
      />
      {launching && (
        <Suspense>
          <LaunchDialog view={view} onClose={() => setLaunching(false)} />
        </Suspense>
      )}
    </>
  );
}

/** The filters beside a group's, as the API would apply them. */
const isShown = (server: Server, { name, host, status, project }: ServerFilters): boolean =>
  (name === undefined || server.name.includes(name)) &&
  (host === undefined || hostOf(server) === host) &&
  (status === undefined || server.status === status) &&
  (project === undefined || server.tenant_id === project);

function columnsOf(view: View, projects: ReadonlyMap<string, string>, hosts: readonly Host[]): readonly Column<Server>[] {
  const types = new Map(hosts.map((host) => [host.name, host.type]));
  const project = (server: Server): string => projects.get(server.tenant_id) ?? server.tenant_id.slice(0, 8);
  const name: Column<Server> = {
    key: 'name',
    title: 'Name',
    className: 'name',
    sortBy: (server) => server.name,
    render: (server) => (
      <Link to={`/${view}/instances/${server.id}`} title={server.name}>
        {server.name}
      </Link>
    ),
  };
  const id: Column<Server> = {
    key: 'id',
    title: 'ID',
    className: 'wide',
    render: (server) => <CopyableId id={server.id} short what={server.name} />,
  };
  const only: readonly Column<Server>[] = [
    { key: 'project', title: 'Project', className: 'wide', sortBy: project, render: project },
    { key: 'host', title: 'Host', sortBy: (server) => hostOf(server) ?? '', render: (server) => hostOf(server) ?? '–' },
  ];
  return [
    name,
    id,
    ...(view === 'admin' ? only : []),
    {
      key: 'zone',
      title: 'Zone',
      className: 'wide',
      sortBy: (server) => server['OS-EXT-AZ:availability_zone'],
      render: (server) => server['OS-EXT-AZ:availability_zone'],
    },
    {
      key: 'status',
      title: 'Status',
      className: 'live',
      sortBy: (server) => server.status,
      render: (server) => <ServerStatus server={server} />,
    },
    { key: 'addresses', title: 'Addresses', className: 'wide', render: (server) => addressesOf(server).join(', ') || '–' },
    {
      key: 'flavor',
      title: 'Flavor',
      className: 'wide',
      sortBy: (server) => server.flavor.original_name,
      render: (server) => (
        <span title={`${formatVcpus(server.flavor.vcpus)}, ${server.flavor.ram} MiB`}>{server.flavor.original_name}</span>
      ),
    },
    {
      key: 'age',
      title: 'Age',
      className: 'wide',
      sortBy: (server) => -parseTime(server.created),
      render: (server) => <When time={server.created} suffix="" />,
    },
    {
      key: 'actions',
      title: 'Actions',
      className: 'pinned',
      width: 80,
      render: (server) => <ServerActions server={server} view={view} hypervisorType={types.get(hostOf(server) ?? '') ?? null} />,
    },
  ];
}

type Option = { readonly value: string; readonly label: string };

function Filters(props: {
  readonly view: View;
  readonly filters: ServerFilters;
  readonly hosts: readonly string[];
  readonly projects: readonly Option[];
  readonly groups: readonly Option[];
}) {
  const { view, filters, hosts, projects, groups } = props;
  const navigate = useNavigate();
  const set = useCallback(
    (change: Partial<Record<keyof ServerFilters, string | undefined>>): void =>
      void navigate({ to: '.', search: (before: ServerFilters) => ({ ...before, ...change }), replace: true }),
    [navigate],
  );
  const [name, setName] = useState(filters.name ?? '');
  const settled = useDeferredValue(name);
  useEffect(() => {
    const timer = setTimeout(() => {
      if ((filters.name ?? '') !== settled) set({ name: settled === '' ? undefined : settled });
    }, 250);
    return () => clearTimeout(timer);
  }, [settled, filters.name, set]);
  const choice = (key: keyof ServerFilters, title: string, options: readonly Option[], width: number) => (
    <Select
      allowClear
      placeholder={title}
      aria-label={`Filter by ${title.toLowerCase()}`}
      style={{ width }}
      value={filters[key] ?? null}
      onChange={(value: string | null | undefined) => set({ [key]: value ?? undefined })}
      options={[...options]}
      showSearch={{ optionFilterProp: 'label' }}
    />
  );
  return (
    <search className="toolbar">
      <Input
        allowClear
        placeholder="Name"
        aria-label="Filter by name"
        style={{ width: 160 }}
        value={name}
        onChange={(event) => setName(event.target.value)}
      />
      {choice('status', 'Status', statusOptions, 140)}
      {view === 'admin' &&
        choice(
          'host',
          'Host',
          hosts.map((host) => ({ value: host, label: host })),
          140,
        )}
      {view === 'admin' && choice('project', 'Project', projects, 140)}
      {choice('group', 'Server group', groups, 160)}
    </search>
  );
}

const statusOptions: readonly Option[] = Object.entries(statusWords)
  // Two statuses of one word; and what is deleted is not listed.
  .filter(([status]) => !['HARD_REBOOT', 'SOFT_DELETED', 'DELETED'].includes(status))
  .map(([value, label]) => ({ value, label }));
