import { App } from 'antd';
import { useEffect } from 'react';
import { Announcement, announce } from './announcer.tsx';

/** Migrations that were started from this tab: their end is told here, wherever the person is by then. */
const started = new Map<string, string>();
const listeners = new Set<(end: { readonly id: string; readonly name: string; readonly status: string }) => void>();

/** The migration's end will be announced once. */
export function expectOutcome(migrationId: string, serverName: string): void {
  started.set(migrationId, serverName);
}

export function migrationEnded(id: string, _serverId: string, status: string): void {
  const name = started.get(id);
  if (name === undefined) return;
  started.delete(id);
  for (const listener of listeners) listener({ id, name, status });
}

/** Tells the outcome of what was started here, with a link to the run. Says `completed` only when the record does. */
export function Outcomes() {
  const { notification } = App.useApp();
  useEffect(() => {
    const tell = ({ id, name, status }: { readonly id: string; readonly name: string; readonly status: string }): void => {
      const good = status === 'completed';
      const title = good ? `Live migration of ${name} completed` : `Live migration of ${name} ended: ${status}`;
      announce(title);
      notification[good ? 'success' : 'error']({
        title,
        description: <a href={`/admin/migrations/${id}`}>{good ? 'View the run' : 'What happened'}</a>,
        duration: good ? 6 : 0,
      });
    };
    listeners.add(tell);
    return () => {
      listeners.delete(tell);
    };
  }, [notification]);
  return <Announcement />;
}
