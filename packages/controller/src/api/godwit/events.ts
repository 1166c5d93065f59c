import type { FastifyInstance } from 'fastify';
import type { AppContext } from '../../app-context.ts';
import type { StoredEvent } from '../../events/event-feed.ts';
import type { Caller } from '../../workflows/operations.ts';
import { requireCaller } from '../request-context.ts';

/** Proxies and browsers give a silent connection up; a comment is no event. */
const KEEP_ALIVE_MS = 15_000;
/** How long a client waits before it connects again. */
const RETRY_MS = 1_000;

/**
 * `GET /events`: what changes, as server-sent events, from now on or from the `Last-Event-ID` that the client last saw. The event's name is its kind, its id the cursor.
 * Who is not an admin gets the events of the token's project, without what only admins may see.
 */
export function eventRoutes(app: FastifyInstance, context: AppContext): void {
  app.get('/events', async (request, reply) => {
    const caller = await requireCaller(context.db, request);
    const header = request.headers['last-event-id'];
    const cursor = typeof header === 'string' && header !== '' ? header : null;
    const gone = new AbortController();
    reply.hijack();
    const { raw } = reply;
    raw.writeHead(200, {
      'content-type': 'text/event-stream; charset=utf-8',
      'cache-control': 'no-store',
      'x-accel-buffering': 'no',
      'x-openstack-request-id': request.id,
    });
    raw.write(`retry: ${RETRY_MS}\n\n`);
    const stop = (): void => gone.abort();
    raw.once('close', stop);
    raw.once('error', stop);
    const alive = setInterval(() => raw.write(': alive\n\n'), KEEP_ALIVE_MS);
    try {
      for await (const event of context.events.read(cursor, gone.signal)) {
        const shown = visible(event, caller);
        // A client that reads slowly holds up its own stream alone.
        if (shown !== null && !raw.write(shown)) await drained(raw, gone.signal);
      }
    } catch (error) {
      context.log.warn({ err: error }, 'an event stream ended; the client will connect again');
    } finally {
      clearInterval(alive);
      raw.end();
    }
  });
}

/** The event as this caller may see it, on the wire; null: not at all. */
export function visible(event: StoredEvent, caller: Pick<Caller, 'isAdmin' | 'projectId'>): string | null {
  if (!caller.isAdmin && (event.projectId === null || event.projectId !== caller.projectId)) return null;
  const { admin, ...rest } = event.data;
  const data = { ...rest, ...(caller.isAdmin && typeof admin === 'object' ? admin : {}), at: event.at.toISOString() };
  return `id: ${event.cursor}\nevent: ${event.kind}\ndata: ${JSON.stringify(data)}\n\n`;
}

async function drained(raw: NodeJS.WritableStream, signal: AbortSignal): Promise<void> {
  await new Promise<void>((resolve) => {
    const done = (): void => {
      raw.off('drain', done);
      signal.removeEventListener('abort', done);
      resolve();
    };
    raw.once('drain', done);
    signal.addEventListener('abort', done);
  });
}
