import { useQuery } from '@tanstack/react-query';
import { useState } from 'react';
import { type InstanceAction, serverActionEvents, serverActionLog } from '../api/servers.ts';
import { CopyableId } from '../components/copyable-id.tsx';
import { useFallbackPolling } from '../components/live.tsx';
import { Problem } from '../components/problem.tsx';
import { useApi } from '../components/signed-in.tsx';
import { When } from '../components/when.tsx';
import { formatDuration, parseTime } from '../model/formats.ts';

/** What was asked of the instance, newest first; each action opens to its events with their details. */
export function ActionLog({ serverId }: { readonly serverId: string }) {
  const api = useApi();
  const actions = useQuery({ ...serverActionLog(api, serverId), refetchInterval: useFallbackPolling(false) });
  if (actions.isError) return <Problem error={actions.error} what="The action log could not be read." />;
  return (
    <>
      {actions.data?.length === 0 && <p className="muted">Nothing has been asked of this instance yet.</p>}
      {(actions.data ?? []).map((action, index) => (
        <Action key={action.request_id} serverId={serverId} action={action} openAtFirst={index === 0} />
      ))}
    </>
  );
}

function Action({
  serverId,
  action,
  openAtFirst,
}: {
  readonly serverId: string;
  readonly action: InstanceAction;
  readonly openAtFirst: boolean;
}) {
  const api = useApi();
  const [open, setOpen] = useState(openAtFirst);
  const events = useQuery({ ...serverActionEvents(api, serverId, action.request_id), enabled: open });
  return (
    <details className="panel" open={open} onToggle={(event) => setOpen(event.currentTarget.open)} style={{ marginBottom: 8 }}>
      <summary>
        <strong>{action.action}</strong> <When time={action.start_time} />
        {action.message !== null && <span className="bad"> · {action.message}</span>}
      </summary>
      <dl className="facts" style={{ marginTop: 8 }}>
        <dt>Request</dt>
        <dd>
          <CopyableId id={action.request_id} what={`request ${action.action}`} />
        </dd>
        {inOrder(events.data ?? []).map((event) => (
          <Event key={`${event.event} ${event.start_time}`} event={event} />
        ))}
      </dl>
      {events.data?.length === 0 && <p className="muted">No events are recorded for it.</p>}
      {events.isError && <Problem error={events.error} what="The events could not be read." />}
    </details>
  );
}

type EventProps = {
  readonly event: Parameters<typeof eventDuration>[0] & {
    readonly event: string;
    readonly result: string | null;
    readonly host?: string | null;
    readonly details?: string | null;
  };
};

const Event = ({ event }: EventProps) => (
  <>
    <dt className="mono">{event.event}</dt>
    <dd>
      {event.result ?? 'in progress'}
      {event.host != null && <span className="muted"> on {event.host}</span>}
      {event.finish_time !== null && <span className="muted"> {formatDuration(eventDuration(event))}</span>}
      {event.details != null && event.details !== '' && <div>{event.details}</div>}
    </dd>
  </>
);

const eventDuration = (event: { readonly start_time: string; readonly finish_time: string | null }): number | null =>
  event.finish_time === null ? null : Math.max(0, parseTime(event.finish_time) - parseTime(event.start_time));

const inOrder = <Event extends { readonly start_time: string }>(events: readonly Event[]): readonly Event[] =>
  events.toSorted((a, b) => parseTime(a.start_time) - parseTime(b.start_time));
