import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { confirmWindow, migrationList } from '../api/migrations.ts';
import { act, hostOf, serversWithStatus } from '../api/servers.ts';
import { formatDuration, parseTime } from '../model/formats.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';
import { useFallbackPolling } from './live.tsx';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';
import { useNow } from './when.tsx';

/** The inbox of finished cold moves and resizes: each waits for Confirm or Revert. With the time left before it is confirmed by itself. */
export function WaitingMoves({ view }: { readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const { busy, run } = useChange('server');
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
      {waiting.map((server) => (
        <p key={server.id} style={{ display: 'flex', gap: 8, alignItems: 'center', flexWrap: 'wrap', margin: '4px 0' }}>
          <Link to={`/${view}/instances/${server.id}`}>{server.name}</Link>
          {hostOf(server) !== null && <span className="muted">now on {hostOf(server)}</span>}
          <TimeLeft since={finishedAt.get(server.id) ?? server.updated} windowMs={window.data ?? 0} />
          <Button
            size="small"
            disabled={busy}
            aria-label={`Confirm the move of ${server.name}`}
            onClick={() => void run(`Confirmation of ${server.name} accepted`, () => act(api, server.id, 'confirm-resize'))}
          >
            {words.dialog.confirm}
          </Button>
          <Button
            size="small"
            disabled={busy}
            aria-label={`Revert the move of ${server.name}`}
            onClick={() => void run(`Revert of ${server.name} accepted`, () => act(api, server.id, 'revert-resize'))}
          >
            {words.revert}
          </Button>
        </p>
      ))}
    </section>
  );
}

function TimeLeft({ since, windowMs }: { readonly since: string | null; readonly windowMs: number }) {
  const now = useNow();
  if (since === null || windowMs === 0) return null;
  const left = Math.max(0, parseTime(since) + windowMs - now);
  return <span className="muted">confirmed by itself in {formatDuration(Math.ceil(left / 1000) * 1000)}</span>;
}
