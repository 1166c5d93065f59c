import type { Server } from '../api/servers.ts';
import { statusWord } from '../words.ts';

const tones: Readonly<Record<string, 'good' | 'busy' | 'warn' | 'bad'>> = {
  ACTIVE: 'good',
  ERROR: 'bad',
  MIGRATING: 'busy',
  BUILD: 'busy',
  RESIZE: 'busy',
  REVERT_RESIZE: 'busy',
  REBUILD: 'busy',
  RESCUE: 'warn',
  REBOOT: 'busy',
  HARD_REBOOT: 'busy',
  VERIFY_RESIZE: 'warn',
  PAUSED: 'warn',
  SUSPENDED: 'warn',
};

/** The status in words, and while it moves how far it is. */
export function ServerStatus({ server }: { readonly server: Server }) {
  const moving = server.status === 'MIGRATING' || server.status === 'RESIZE';
  const task = server['OS-EXT-STS:task_state'];
  return (
    <span className={`status ${tones[server.status] ?? ''}`} title={server.fault?.message}>
      {statusWord(server.status)}
      {moving && server.progress !== undefined && server.progress > 0 && (
        <>
          <span className="bar" style={{ width: 48, minWidth: 48 }} aria-hidden="true">
            <span style={{ width: `${server.progress}%` }} />
          </span>
          <span className="muted">{server.progress}%</span>
        </>
      )}
      {!moving && task !== null && server.status !== 'BUILD' && <span className="muted">{task.replaceAll('_', ' ')}</span>}
    </span>
  );
}

const migrationTones: Readonly<Record<string, 'good' | 'busy' | 'warn' | 'bad'>> = {
  completed: 'good',
  confirmed: 'good',
  finished: 'warn',
  failed: 'bad',
  error: 'bad',
  cancelled: 'warn',
  reverted: 'warn',
};

/** The API's own word. */
export const MigrationStatusWord = ({ status }: { readonly status: string }) => (
  <span className={`status ${migrationTones[status] ?? 'busy'}`}>{status}</span>
);
