import { useQuery } from '@tanstack/react-query';
import { Link } from '@tanstack/react-router';
import { Button } from 'antd';
import { confirmWindow, migrationList } from '../api/migrations.ts';
import { act, hostOf, type Server } from '../api/servers.ts';
import { formatDuration } from '../model/formats.ts';
import type { View } from '../sidebar.ts';
import { words } from '../words.ts';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';
import { useNow } from './when.tsx';

/** The inbox of finished cold moves and resizes: each waits for Confirm or Revert. For an admin also with the time left before it is confirmed by itself. */
export function WaitingMoves({ servers, view }: { readonly servers: readonly Server[]; readonly view: View }) {
  const api = useApi();
  const admin = view === 'admin';
  const { busy, run } = useChange('server');
  const waiting = servers.filter((server) => server.status === 'VERIFY_RESIZE');
  const some = waiting.length > 0;
  const moves = useQuery({ ...migrationList(api, { status: 'finished' }), enabled: admin && some });
  const window = useQuery({ ...confirmWindow(api), enabled: admin && some });
  if (!some) return null;
  const finishedAt = new Map((moves.data ?? []).map((move) => [move.serverId, move.updatedAt]));
  return (
    <section className="panel" aria-label="Waiting for confirmation">
      <h2>{waiting.length === 1 ? 'One move waits' : `${waiting.length} moves wait`} for confirmation</h2>
      {waiting.map((server) => (
        <p key={server.id} style={{ display: 'flex', gap: 8, alignItems: 'center', flexWrap: 'wrap', margin: '4px 0' }}>
          <Link to={`/${view}/instances/${server.id}`}>{server.name}</Link>
          {hostOf(server) !== null && <span className="muted">now on {hostOf(server)}</span>}
          <TimeLeft since={finishedAt.get(server.id) ?? null} windowMs={window.data ?? 0} />
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
  const left = Math.max(0, Date.parse(since) + windowMs - now);
  return <span className="muted">confirmed by itself in {formatDuration(Math.ceil(left / 1000) * 1000)}</span>;
}
