import { migrationStatuses } from '@godwit/domain/migration';
import { useQuery } from '@tanstack/react-query';
import { useNavigate, useSearch } from '@tanstack/react-router';
import { Select } from 'antd';
import { useMemo } from 'react';
import { hostList } from '../api/hosts.ts';
import { isOver, type Migration, type MigrationFilters, migrationList } from '../api/migrations.ts';
import { DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { durationOf, migrationColumns } from '../components/migration-columns.tsx';
import { OperationList } from '../components/operation-list.tsx';
import { PageHead } from '../components/page-head.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { formatDuration } from '../model/formats.ts';
import { percentile } from '../model/percentiles.ts';

/** The history of moves, newest first, with its percentiles. The URL holds the filters. */
export function Migrations() {
  const api = useApi();
  const navigate = useNavigate();
  const filters: MigrationFilters = useSearch({ strict: false });
  const hosts = useQuery(hostList(api));
  const known = useQuery(migrationList(api, filters));
  const moving = known.data?.some((migration) => !isOver(migration.status)) ?? false;
  const migrations = useQuery({ ...migrationList(api, filters), refetchInterval: useFallbackPolling(moving) });
  const rows = migrations.data ?? [];
  const columns = useMemo(() => migrationColumns(true), []);
  const set = (change: Partial<Record<keyof MigrationFilters, string | undefined>>): void =>
    void navigate({ to: '.', search: (before: MigrationFilters) => ({ ...before, ...change }), replace: true });
  return (
    <>
      <PageHead title="Migrations">
        <span className="muted">
          {rows.length} {rows.length === 1 ? 'run' : 'runs'}
        </span>
      </PageHead>
      <search className="toolbar">
        <Select
          allowClear
          placeholder="Status"
          aria-label="Filter by status"
          style={{ width: 170 }}
          value={filters.status ?? null}
          onChange={(status: string | null | undefined) => set({ status: status ?? undefined })}
          options={migrationStatuses.map((value) => ({ value, label: value }))}
        />
        <Select
          allowClear
          placeholder="Host"
          aria-label="Filter by host"
          style={{ width: 170 }}
          value={filters.host ?? null}
          onChange={(host: string | null | undefined) => set({ host: host ?? undefined })}
          options={(hosts.data ?? []).map(({ name }) => ({ value: name, label: name }))}
        />
      </search>
      <OperationList host={filters.host} />
      <Percentiles migrations={rows} />
      {migrations.isError && <Problem error={migrations.error} what="The migrations could not be listed." />}
      <DataTable<Migration>
        label="Migrations"
        columns={columns}
        rows={rows}
        rowKey={(migration) => migration.id}
        loading={migrations.isFetching && migrations.data === undefined}
        empty={
          Object.keys(filters).length > 0
            ? 'No run matches these filters.'
            : 'Nothing has moved yet. Live Migrate is in the More menu of an instance.'
        }
        maxHeight="calc(100vh - 270px)"
      />
    </>
  );
}

/** Of the completed live migrations in the list. */
function Percentiles({ migrations }: { readonly migrations: readonly Migration[] }) {
  const completed = migrations.filter((migration) => migration.type === 'live-migration' && migration.status === 'completed');
  if (completed.length === 0) return null;
  const blackouts = completed.flatMap((migration) => migration.measures.blackoutMs ?? []);
  const durations = completed.flatMap((migration) => durationOf(migration) ?? []);
  const ended = migrations.filter((migration) => isOver(migration.status)).length;
  const figures = [
    ['Completed', `${completed.length} of ${ended}`],
    ['Blackout, median', formatDuration(percentile(blackouts, 0.5))],
    ['Blackout, 95 %', formatDuration(percentile(blackouts, 0.95))],
    ['Duration, median', formatDuration(percentile(durations, 0.5))],
    ['Duration, 95 %', formatDuration(percentile(durations, 0.95))],
  ] as const;
  return (
    <section className="panel" aria-label="Percentiles">
      <dl className="figures">
        {figures.map(([title, value]) => (
          <div key={title}>
            <dt>{title}</dt>
            <dd>{value}</dd>
          </div>
        ))}
      </dl>
    </section>
  );
}
