import { useQuery } from '@tanstack/react-query';
import { type Migration, migrationList } from '../api/migrations.ts';
import type { Server } from '../api/servers.ts';
import { DataTable } from '../components/data-table.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { migrationColumns } from '../components/migration-columns.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';

/** Every move of one server, newest first. */
export function ServerMigrations({ server }: { readonly server: Server }) {
  const api = useApi();
  const moving = server.status === 'MIGRATING';
  const migrations = useQuery({ ...migrationList(api, { server: server.id }), refetchInterval: useFallbackPolling(moving) });
  return (
    <>
      {migrations.isError && <Problem error={migrations.error} what="The migrations could not be listed." />}
      <DataTable<Migration>
        label={`Migrations of ${server.name}`}
        columns={migrationColumns(false)}
        rows={migrations.data ?? []}
        rowKey={(migration) => migration.id}
        loading={migrations.isFetching && migrations.data === undefined}
        empty="This instance has never moved."
        maxHeight="60vh"
      />
    </>
  );
}
