import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { confirmWindow, migrationList } from '../api/migrations.ts';
import { hostOf, serversWithStatus } from '../api/servers.ts';
import type { View } from '../sidebar.ts';
import { DecideMove } from './decide-move.tsx';
import { useFallbackPolling } from './live.tsx';
import { useApi } from './signed-in.tsx';

/** The list of instances is what the page is for; it has them all by their status. */
const most = 5;

/** The inbox of finished cold moves and resizes: each waits for Confirm or Revert. With the time left before it is confirmed by itself. */
export function WaitingMoves({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  // Of the whole cloud or project, whatever the page's filters show.
  const waiting = useQuery({ ...serversWithStatus(api, view, 'VERIFY_RESIZE'), refetchInterval: useFallbackPolling(false) }).data ?? [];
  const some = waiting.length > 0;
  const moves = useQuery({ ...migrationList(api, { status: 'finished' }), enabled: admin && some });
  const window = useQuery({ ...confirmWindow(api), enabled: some });
  if (!some) return null;
  const finishedAt = new Map((moves.data ?? []).map((move) => [move.serverId, move.updatedAt]));
  return (
    <section className="panel" aria-label="Waiting for confirmation">
      <h2>{waiting.length === 1 ? 'One move waits' : `${waiting.length} moves wait`} for confirmation</h2>
      {waiting.slice(0, most).map((server) => (
        <p key={server.id} style={{ display: 'flex', gap: 8, alignItems: 'center', flexWrap: 'wrap', margin: '4px 0' }}>
          <Link to={`/${view}/instances/${server.id}`}>{server.name}</Link>
          {admin && hostOf(server) !== null && <span className="muted">now on {hostOf(server)}</span>}
          <DecideMove server={server} since={finishedAt.get(server.id) ?? server.updated} windowMs={window.data} />
        </p>
      ))}
      {waiting.length > most && (
        <p style={{ margin: '4px 0' }}>
          <Link to={`/${view}/instances`} search={{ status: 'VERIFY_RESIZE' }}>
            and {waiting.length - most} more
          </Link>
        </p>
      )}
    </section>
  );
}
