import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { useMemo } from 'react';
import { hostList } from '../api/hosts.ts';
import { migrationList } from '../api/migrations.ts';
import { operationList } from '../api/operations.ts';
import { serverGroupViews } from '../api/resources.ts';
import { serversWithStatus } from '../api/servers.ts';
import { type Column, DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { useNow } from '../components/when.tsx';
import { type OddThing, oddThings } from '../model/odd-things.ts';

const kindWords: Readonly<Record<OddThing['kind'], string>> = {
  migration: 'Migration older than usual',
  host: 'Host not heard from',
  instance: 'Instance in Error',
  confirmation: 'Forgotten Verify Resize',
  group: 'Group rule broken',
  operation: 'Paused operation',
};

const columns: readonly Column<OddThing>[] = [
  {
    key: 'kind',
    title: 'What',
    sortBy: ({ kind }) => kindWords[kind],
    render: ({ kind }) => <span className="status warn">{kindWords[kind]}</span>,
  },
  {
    key: 'subject',
    title: 'Where',
    sortBy: ({ subject }) => subject,
    render: ({ subject, path, search }) => (
      <Link to={path} search={search ?? {}}>
        {subject}
      </Link>
    ),
  },
  { key: 'evidence', title: 'Evidence', render: ({ evidence }) => evidence },
  { key: 'action', title: 'Safe action', render: ({ action }) => action },
];

/** What is stuck or odd, each with what was seen of it and what can safely be done. */
export function Troubleshooting() {
  const api = useApi();
  const refetchInterval = useFallbackPolling(false);
  const migrations = useQuery({ ...migrationList(api, {}), refetchInterval });
  const hosts = useQuery({ ...hostList(api), refetchInterval });
  const failed = useQuery({ ...serversWithStatus(api, 'admin', 'ERROR'), refetchInterval });
  const waiting = useQuery({ ...serversWithStatus(api, 'admin', 'VERIFY_RESIZE'), refetchInterval });
  const groups = useQuery({ ...serverGroupViews(api), refetchInterval });
  const operations = useQuery({ ...operationList(api, { state: 'open' }), refetchInterval });
  // Ages are looked at anew every few seconds, not at each tick of the clock.
  const now = Math.floor(useNow() / 5000) * 5000;
  const all = [migrations, hosts, failed, waiting, groups, operations];
  const error = all.find((query) => query.isError)?.error;
  const odd = useMemo(
    () =>
      oddThings({
        now,
        migrations: migrations.data ?? [],
        hosts: hosts.data ?? [],
        failed: failed.data ?? [],
        waiting: waiting.data ?? [],
        groups: groups.data ?? [],
        operations: operations.data ?? [],
      }),
    [now, migrations.data, hosts.data, failed.data, waiting.data, groups.data, operations.data],
  );
  return (
    <>
      <PageHead title="Troubleshooting">
        <span className="muted">{odd.length === 0 ? 'Nothing odd' : `${odd.length} to look at`}</span>
      </PageHead>
      {error !== undefined && <Problem error={error} what="Part of the cloud could not be looked at." />}
      <DataTable<OddThing>
        label="Troubleshooting"
        tall
        columns={columns}
        rows={odd}
        rowKey={({ key }) => key}
        loading={all.some((query) => query.isPending)}
        empty="Nothing is stuck: no old migrations, no silent hosts, no instances in Error, no forgotten confirmations, no broken group rules."
      />
    </>
  );
}
