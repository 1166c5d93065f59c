import { Button } from 'antd';
import { act } from '../api/servers.ts';
import { formatDuration, parseTime } from '../model/formats.ts';
import { words } from '../words.ts';
import { useApi } from './signed-in.tsx';
import { useChange } from './use-change.ts';
import { useNow, When } from './when.tsx';

/** Confirm and Revert of a finished cold move or resize, with the time that is left to decide. */
export function DecideMove(props: {
  readonly server: { readonly id: string; readonly name: string };
  /** When it finished. */
  readonly since: string | null;
  /** It is confirmed by itself after so long; 0: never; undefined: not known yet. */
  readonly windowMs: number | undefined;
}) {
  const { server, since, windowMs } = props;
  const api = useApi();
  const { busy, run } = useChange('server');
  return (
    <>
      <TimeLeft since={since} windowMs={windowMs} />
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
    </>
  );
}

function TimeLeft({ since, windowMs }: { readonly since: string | null; readonly windowMs: number | undefined }) {
  const now = useNow();
  if (since === null || windowMs === undefined) return null;
  const finished = <When time={since} />;
  if (windowMs === 0) return <span className="muted">finished {finished}; it waits until somebody decides</span>;
  const left = Math.max(0, parseTime(since) + windowMs - now);
  return (
    <span className="muted">
      finished {finished}; confirmed by itself in {formatDuration(Math.ceil(left / 1000) * 1000)}
    </span>
  );
}
