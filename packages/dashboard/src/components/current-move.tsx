import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { isOver, migrationList } from '../api/migrations.ts';
import type { Server } from '../api/servers.ts';
import { furthestPercent, progressPercent } from '../model/migration-progress.ts';
import { useFallbackPolling } from './live.tsx';
import { useApi } from './signed-in.tsx';

/** While the instance moves: where to, how far, and the link to the run. */
export function CurrentMove({ server }: { readonly server: Server }) {
  const api = useApi();
  const migrations = useQuery({ ...migrationList(api, { server: server.id }), refetchInterval: useFallbackPolling(true) });
  const move = migrations.data?.find((migration) => !isOver(migration.status));
  if (move === undefined) return null;
  const percent = furthestPercent(move.id, Math.max(progressPercent(move), server.progress ?? 0));
  return (
    <section className="panel" aria-label="Current move">
      <p style={{ marginTop: 0 }}>
        Moving from {move.source?.name ?? '–'} to {move.destination?.name ?? 'a host to be decided'}: {move.phase}, {percent}%.{' '}
        <Link to={`/admin/migrations/${move.id}`}>View the run</Link>
      </p>
      <div
        className="bar"
        role="progressbar"
        aria-label={`Progress of the migration of ${server.name}`}
        aria-valuemin={0}
        aria-valuemax={100}
        aria-valuenow={percent}
      >
        <span style={{ width: `${percent}%` }} />
      </div>
    </section>
  );
}
