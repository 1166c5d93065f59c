import { useNavigate } from '@tanstack/react-router';
import { App } from 'antd';
import { useEffect } from 'react';
import { isOver, newestMigrationOf } from '../api/migrations.ts';
import type { Api } from '../api/request.ts';
import { Announcement, announce } from './announcer.tsx';
import { GoLink } from './go-link.tsx';

type Outcome = { readonly id: string; readonly what: string; readonly status: string };

/** Migrations that were started from this tab: their end is told here, wherever the person is by then. */
const started = new Map<string, string>();
/** The newest ends that were heard of: a move may end before the answer to its request is here. */
const ends = new Map<string, string>();
const endsKept = 50;
const listeners = new Set<(outcome: Outcome) => void>();

export function migrationEnded(id: string, status: string): void {
  ends.set(id, status);
  for (const oldest of ends.keys()) {
    if (ends.size <= endsKept) break;
    ends.delete(oldest);
  }
  const what = started.get(id);
  if (what === undefined) return;
  started.delete(id);
  for (const listener of listeners) listener({ id, what, status });
}

/**
 * Says that the move just accepted is queued, with a link to its run, and remembers to tell its outcome. `what` begins the sentence: `Live migration of web-1`.
 */
export function useTellQueued(): (api: Api, serverId: string, what: string) => Promise<void> {
  const { notification } = App.useApp();
  const navigate = useNavigate();
  return async (api, serverId, what) => {
    const run = await newestMigrationOf(api, serverId).catch(() => null);
    const title = `${what} queued`;
    announce(title);
    if (run === null) {
      notification.info({ placement: 'bottomRight', title, duration: 6 });
      return;
    }
    started.set(run.id, what);
    notification.info({
      key: `queued ${run.id}`,
      placement: 'bottomRight',
      title,
      description: (
        <GoLink to={`/admin/migrations/${run.id}`} navigate={navigate}>
          View the run
        </GoLink>
      ),
      duration: 6,
    });
    const ended = ends.get(run.id) ?? (isOver(run.status) ? run.status : undefined);
    if (ended !== undefined) migrationEnded(run.id, ended);
  };
}

/** Tells the outcome of what was started here, with a link to the run. Says `completed` only when the record does. */
export function Outcomes() {
  const { notification } = App.useApp();
  const navigate = useNavigate();
  useEffect(() => {
    const tell = ({ id, what, status }: Outcome): void => {
      const good = status === 'completed' || status === 'finished';
      const title =
        status === 'finished' ? `${what} finished: confirm or revert it` : good ? `${what} completed` : `${what} ended: ${status}`;
      announce(title);
      notification.destroy(`queued ${id}`);
      notification[good ? 'success' : 'error']({
        key: `outcome ${id}`,
        placement: 'bottomRight',
        title,
        description: (
          <GoLink to={`/admin/migrations/${id}`} navigate={navigate}>
            {good ? 'View the run' : 'What happened'}
          </GoLink>
        ),
        duration: good ? 6 : 0,
      });
    };
    listeners.add(tell);
    return () => {
      listeners.delete(tell);
    };
  }, [notification, navigate]);
  return <Announcement />;
}
