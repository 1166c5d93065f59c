import type { Session } from './session.ts';

export type CloudEvent = { readonly id: string; readonly kind: string; readonly data: unknown };

/**
 * The controller's push: server-sent events read by fetch, since EventSource cannot carry the token. Resumes after a cut from the last id seen, with
 * a growing pause of at most 5 s; `onState` tells the page whether it is live, so that polling can step in.
 * Returns the function that ends it.
 */
export function followEvents(session: Session, onEvent: (event: CloudEvent) => void, onState: (live: boolean) => void): () => void {
  const ended = new AbortController();
  let lastId: string | null = null;
  const run = async (): Promise<void> => {
    let pauseMs = 250;
    while (!ended.signal.aborted) {
      try {
        const headers: Record<string, string> = { 'x-auth-token': session.token, accept: 'text/event-stream' };
        if (lastId !== null) headers['last-event-id'] = lastId;
        const response = await fetch('/godwit/v1/events', { headers, signal: ended.signal });
        if (response.status === 401) return;
        if (response.ok && response.body !== null) {
          onState(true);
          pauseMs = 250;
          for await (const event of parse(response.body)) {
            lastId = event.id === '' ? lastId : event.id;
            onEvent(event);
          }
        }
      } catch {
        // The controller is away; what happened meanwhile arrives by the last id when it is back.
      }
      if (ended.signal.aborted) return;
      onState(false);
      await new Promise((resolve) => setTimeout(resolve, pauseMs));
      pauseMs = Math.min(pauseMs * 2, 5000);
    }
  };
  void run();
  return () => ended.abort();
}

/** Server-sent events (HTML standard, section 9.2) from a byte stream. */
async function* parse(body: ReadableStream<Uint8Array<ArrayBuffer>>): AsyncGenerator<CloudEvent> {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = '';
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    rest += value;
    const blocks = rest.split('\n\n');
    rest = blocks.pop() ?? '';
    for (const block of blocks) {
      const event = { id: '', kind: 'message', data: '' };
      for (const line of block.split('\n')) {
        if (line.startsWith('id:')) event.id = line.slice(3).trim();
        else if (line.startsWith('event:')) event.kind = line.slice(6).trim();
        else if (line.startsWith('data:')) event.data += line.slice(5).trim();
      }
      if (event.data !== '') yield { id: event.id, kind: event.kind, data: JSON.parse(event.data) };
    }
  }
}
