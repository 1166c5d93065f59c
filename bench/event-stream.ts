import type { OpenStackClient } from '@godwit/lab/cloud/openstack-client';

type Seen = { readonly id: string; readonly status: string; readonly receivedAt: number };
type Watcher = { readonly matches: (seen: Seen) => boolean; readonly tell: (seen: Seen) => void };

/** What the cloud's event stream says, awaited without asking: a bench that polled would measure its own questions. */
export type EventStream = {
  readonly server: (id: string, matches: (seen: Seen) => boolean) => Promise<Seen>;
  /** The first matching word of a server's migration after `since` (performance.now()). */
  readonly migration: (serverId: string, matches: (seen: Seen) => boolean, since: number) => Promise<Seen>;
  readonly close: () => void;
};

const patienceMs = 120_000;

/** Opens the stream; what comes after this resolved is not missed. */
export async function watchEvents(client: OpenStackClient): Promise<EventStream> {
  const gone = new AbortController();
  const last = new Map<string, Seen>();
  const watchers = new Map<string, Set<Watcher>>();
  const response = await client.stream('godwit', '/events', gone.signal);
  const read = async (): Promise<void> => {
    let text = '';
    const decoder = new TextDecoder();
    for await (const chunk of response) {
      text += decoder.decode(chunk, { stream: true });
      for (let end = text.indexOf('\n\n'); end >= 0; end = text.indexOf('\n\n')) {
        hear(text.slice(0, end));
        text = text.slice(end + 2);
      }
    }
  };
  const hear = (block: string): void => {
    const kind = /^event: (\w+)$/m.exec(block)?.[1];
    const data = /^data: (.*)$/m.exec(block)?.[1];
    if (data === undefined || (kind !== 'server' && kind !== 'migration')) return;
    const { id, serverId, status } = JSON.parse(data) as { readonly id: string; readonly serverId?: string; readonly status?: string };
    if (status === undefined) return;
    const key = `${kind} ${kind === 'migration' ? serverId : id}`;
    const seen = { id, status, receivedAt: performance.now() };
    last.set(key, seen);
    for (const watcher of watchers.get(key) ?? []) if (watcher.matches(seen)) watcher.tell(seen);
  };
  read().catch((error: unknown) => {
    if (!gone.signal.aborted) console.error('the event stream ended:', error);
  });
  const wait = (key: string, matches: (seen: Seen) => boolean): Promise<Seen> =>
    new Promise((resolve, reject) => {
      const known = last.get(key);
      if (known !== undefined && matches(known)) {
        resolve(known);
        return;
      }
      const timer = setTimeout(
        () => reject(new Error(`${key}: not seen in ${patienceMs / 1000} s; last: ${last.get(key)?.status}`)),
        patienceMs,
      );
      const mine: Watcher = {
        matches,
        tell: (seen) => {
          clearTimeout(timer);
          watchers.get(key)?.delete(mine);
          resolve(seen);
        },
      };
      const all = watchers.get(key) ?? new Set();
      watchers.set(key, all.add(mine));
    });
  return {
    server: (id, matches) => wait(`server ${id}`, matches),
    migration: (id, matches, since) => wait(`migration ${id}`, (seen) => seen.receivedAt >= since && matches(seen)),
    close: () => gone.abort(),
  };
}
