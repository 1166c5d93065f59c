import { Link } from '@tanstack/react-router';
import { isOver, type Migration } from '../api/migrations.ts';
import { formatBytes, formatDuration } from '../model/formats.ts';
import { furthestPercent, progressPercent } from '../model/migration-progress.ts';
import type { Column } from './data-table.tsx';
import { MigrationStatusWord } from './status.tsx';
import { When } from './when.tsx';

const number = (
  key: string,
  title: string,
  of: (migration: Migration) => number | null,
  format: (value: number | null) => string,
  more = '',
) =>
  ({
    key,
    title,
    className: `number${more}`,
    sortBy: (migration) => of(migration) ?? -1,
    render: (migration) => format(of(migration)),
  }) satisfies Column<Migration>;

/** How a list shows moves; `withServer` where it holds those of several. */
export function migrationColumns(withServer: boolean): readonly Column<Migration>[] {
  const server: Column<Migration> = {
    key: 'server',
    title: 'Instance',
    className: 'name',
    sortBy: (migration) => migration.serverName,
    render: (migration) => (
      <Link to={`/admin/instances/${migration.serverId}`} title={migration.serverName}>
        {migration.serverName}
      </Link>
    ),
  };
  return [
    {
      key: 'id',
      title: 'Run',
      sortBy: (migration) => migration.apiId,
      render: (migration) => <Link to={`/admin/migrations/${migration.id}`}>Run {migration.apiId}</Link>,
    },
    ...(withServer ? [server] : []),
    {
      key: 'status',
      title: 'Status',
      sortBy: (migration) => migration.status,
      render: (migration) => (
        <span title={migration.outcome?.sentence ?? ''}>
          <MigrationStatusWord status={migration.status} />
          {migration.type === 'live-migration' && !isOver(migration.status) && (
            <span className="muted"> {furthestPercent(migration.id, progressPercent(migration))}%</span>
          )}
          {migration.status === 'finished' && <span className="muted"> to be confirmed</span>}
          {migration.outcome?.cause != null && <span className="muted"> {migration.outcome.cause}</span>}
        </span>
      ),
    },
    {
      key: 'type',
      title: 'Type',
      className: 'wide roomy',
      sortBy: (migration) => migration.type,
      render: (migration) => migration.type,
    },
    {
      key: 'source',
      title: 'From',
      sortBy: (migration) => migration.source?.name ?? '',
      render: (migration) => migration.source?.name ?? '–',
    },
    {
      key: 'destination',
      title: 'To',
      sortBy: (migration) => migration.destination?.name ?? '',
      render: (migration) => migration.destination?.name ?? '–',
    },
    number('blackout', 'Blackout', (migration) => migration.measures.blackoutMs, formatDuration),
    number('total', 'Duration', durationOf, formatDuration, ' wide'),
    number('bytes', 'Sent', (migration) => migration.memory.processedBytes, formatBytes, ' wide'),
    number(
      'rounds',
      'Rounds',
      (migration) => migration.measures.rounds,
      (rounds) => (rounds === null ? '–' : String(rounds)),
      ' wide',
    ),
    {
      key: 'started',
      title: 'Started',
      className: 'wide',
      sortBy: (migration) => -Date.parse(migration.createdAt),
      render: (migration) => <When time={migration.createdAt} />,
    },
  ];
}

/** From the request to the end; null while it goes on. */
export const durationOf = (migration: Migration): number | null =>
  migration.finishedAt === null ? null : Date.parse(migration.finishedAt) - Date.parse(migration.createdAt);
