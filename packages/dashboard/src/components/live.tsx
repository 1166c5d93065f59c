import { useQueryClient } from '@tanstack/react-query';
import { useEffect, useState } from 'react';
import { followEvents } from '../api/event-stream.ts';
import { useSession } from './signed-in.tsx';

/**
 * Follows the cloud's events and makes every query about the changed thing stale, so that pages refetch just that. Query keys begin with the
 * kind of thing they show: ['server', …], ['migration', …], ['host', …], ['drain', …]. True while the stream is live.
 */
export function useLive(): boolean {
  const session = useSession();
  const queries = useQueryClient();
  const [live, setLive] = useState(false);
  useEffect(
    () =>
      followEvents(
        session,
        (event) => {
          void queries.invalidateQueries({ queryKey: [event.kind] });
        },
        (state) => {
          setLive(state);
          // What happened while the stream was cut is told by its last id, but only as far back as the server keeps events.
          if (state) void queries.invalidateQueries();
        },
      ),
    [session, queries],
  );
  return live;
}
