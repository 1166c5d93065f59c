import { type InfiniteData, type QueryClient, useQueryClient } from '@tanstack/react-query';
import { createContext, type ReactNode, useContext, useEffect, useState } from 'react';
import { type CloudEvent, followEvents } from '../api/event-stream.ts';
import { isOver, type MigrationRecord } from '../api/migrations.ts';
import type { Operation, OperationItem, OperationSummary } from '../api/operations.ts';
import type { Server, ServerPage } from '../api/servers.ts';
import { noteSample } from '../model/samples.ts';
import { migrationEnded } from './outcomes.tsx';
import { useSession } from './signed-in.tsx';

const LiveContext = createContext(false);

/** True while the event stream is connected; pages poll only while it is not. */
export const useLive = (): boolean => useContext(LiveContext);

/** For queries of things in motion: push while it is there; else every 3 s while something changes, every 15 s otherwise. */
export function useFallbackPolling(inMotion: boolean): number | false {
  const live = useLive();
  return live ? false : inMotion ? 3000 : 15_000;
}

/** Lists are fetched again at most this often, however many events arrive. */
const LIST_EVERY_MS = 1000;

/**
 * Follows the cloud's events. What an event says is written into what the pages show at once; lists, and all that the event does not say, are fetched again shortly after.
 * Query keys begin with the kind of thing they show: ['server', …], ['migration', …], ['host', …].
 */
export function LiveProvider({ children }: { readonly children: ReactNode }) {
  const session = useSession();
  const queries = useQueryClient();
  const [live, setLive] = useState(false);
  useEffect(() => {
    const refresh = throttled(queries);
    const stop = followEvents(
      session,
      (event) => apply(queries, event, refresh.soon),
      (state) => {
        setLive(state);
        // What happened while the stream was cut is told by its last id, but only as far back as the server keeps events.
        if (state) void queries.invalidateQueries();
      },
    );
    return () => {
      stop();
      refresh.stop();
    };
  }, [session, queries]);
  return <LiveContext value={live}>{children}</LiveContext>;
}

type ServerEvent = {
  readonly id: string;
  readonly name: string;
  readonly status: string;
  readonly vmState: Server['OS-EXT-STS:vm_state'];
  readonly taskState: Server['OS-EXT-STS:task_state'];
  readonly powerState: number;
  readonly progress: number;
  readonly deleted: boolean;
  readonly host?: string | null;
};

type MigrationEvent = {
  readonly id: string;
  readonly serverId: string;
  readonly status: MigrationRecord['status'];
  readonly phase: MigrationRecord['phase'];
  readonly at: string;
  readonly memory_total_bytes?: number;
  readonly memory_processed_bytes?: number;
  readonly memory_remaining_bytes?: number;
  readonly disk_remaining_bytes?: number;
  readonly dirtyRateBytesPerSecond?: number;
  readonly dirtyPagesRate?: number;
  readonly mbps?: number;
};

function apply(queries: QueryClient, event: CloudEvent, refresh: (key: readonly string[]) => void): void {
  if (event.kind === 'server') applyServer(queries, event.data as ServerEvent, refresh);
  else if (event.kind === 'migration') applyMigration(queries, event.data as MigrationEvent, refresh);
  else if (event.kind === 'operation') applyOperation(queries, event.data as OperationEvent, refresh);
  else refresh([event.kind]);
}

type OperationEvent = { readonly operation: OperationSummary; readonly item: OperationItem | null };

function applyOperation(queries: QueryClient, { operation, item }: OperationEvent, refresh: (key: readonly string[]) => void): void {
  let known = true;
  queries.setQueryData<Operation>(['operation', 'show', operation.id], (shown) => {
    if (shown === undefined) return undefined;
    if (item === null) return { ...shown, ...operation };
    const same = (one: OperationItem): boolean => one.position === item.position && one.direction === item.direction;
    known = shown.items.some(same);
    return { ...shown, ...operation, items: shown.items.map((one) => (same(one) ? item : one)) };
  });
  // Items that came later, such as those that are brought home.
  if (!known || operation.finishedAt !== null) refresh(['operation', 'show', operation.id]);
  refresh(['operation', 'list']);
}

function applyServer(queries: QueryClient, event: ServerEvent, refresh: (key: readonly string[]) => void): void {
  const patch = (server: Server): Server => ({
    ...server,
    name: event.name,
    status: event.status,
    progress: event.progress,
    'OS-EXT-STS:vm_state': event.vmState,
    'OS-EXT-STS:task_state': event.taskState,
    'OS-EXT-STS:power_state': event.powerState,
    ...(event.host === undefined ? {} : { 'OS-EXT-SRV-ATTR:host': event.host }),
  });
  let settled = event.deleted || event.taskState === null;
  queries.setQueriesData<InfiniteData<ServerPage>>({ queryKey: ['server', 'list'] }, (data) => {
    // Not every list is paged; those that are not are fetched again.
    if (data?.pages === undefined) return data;
    let known = false;
    const pages = data.pages.map((page) => {
      if (!page.servers.some((server) => server.id === event.id)) return page;
      known = true;
      return {
        ...page,
        servers: page.servers.flatMap((server) => (server.id !== event.id ? [server] : event.deleted ? [] : [patch(server)])),
      };
    });
    if (!known) settled = true;
    return known ? { ...data, pages } : data;
  });
  queries.setQueryData<Server>(['server', 'show', event.id], (server) => (server === undefined ? undefined : patch(server)));
  // Progress alone needs no second look; a change of state does (fault, addresses, zone, what the filter lets through).
  if (settled) {
    refresh(['server', 'list']);
    refresh(['server', 'by-id']);
    refresh(['server', 'group-views']);
  }
  if (settled) refresh(['server', 'show', event.id]);
  refresh(['server', 'actions', event.id]);
  if (settled) refresh(['host']);
}

function applyMigration(queries: QueryClient, event: MigrationEvent, refresh: (key: readonly string[]) => void): void {
  const remaining = event.memory_remaining_bytes;
  if (remaining !== undefined) {
    noteSample(event.id, {
      at: Date.parse(event.at),
      remainingBytes: remaining + (event.disk_remaining_bytes ?? 0),
      dirtyBytesPerSecond: event.dirtyRateBytesPerSecond ?? (event.dirtyPagesRate ?? 0) * 4096,
      sentBytesPerSecond: ((event.mbps ?? 0) * 1e6) / 8,
    });
  }
  queries.setQueryData<MigrationRecord>(['migration', 'show', event.id], (record) =>
    record === undefined || isOver(record.status)
      ? record
      : {
          ...record,
          status: event.status,
          phase: event.phase,
          memory: {
            totalBytes: event.memory_total_bytes ?? record.memory.totalBytes,
            processedBytes: event.memory_processed_bytes ?? record.memory.processedBytes,
            remainingBytes: remaining ?? record.memory.remainingBytes,
          },
        },
  );
  refresh(['migration', 'show', event.id]);
  refresh(['migration', 'list']);
  if (isOver(event.status)) refresh(['server', 'show', event.serverId]);
  // A cold move then waits for its owner: that is the outcome.
  if (isOver(event.status) || event.status === 'finished') migrationEnded(event.id, event.status);
}

/** Collects what has become stale and fetches each again once per interval. */
function throttled(queries: QueryClient): { readonly soon: (key: readonly string[]) => void; readonly stop: () => void } {
  const waiting = new Map<string, readonly string[]>();
  let timer: ReturnType<typeof setTimeout> | null = null;
  let last = 0;
  const flush = (): void => {
    timer = null;
    last = Date.now();
    const keys = [...waiting.values()];
    waiting.clear();
    for (const queryKey of keys) void queries.invalidateQueries({ queryKey });
  };
  return {
    soon: (key) => {
      waiting.set(key.join(' '), key);
      timer ??= setTimeout(flush, Math.max(100, last + LIST_EVERY_MS - Date.now()));
    },
    stop: () => {
      if (timer !== null) clearTimeout(timer);
    },
  };
}
