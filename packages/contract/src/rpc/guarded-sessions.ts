import type { ClientHttp2Session, ClientHttp2Stream, ClientSessionRequestOptions, OutgoingHttpHeaders } from 'node:http2';

/** What connect-node asks of a session manager. */
type Sessions = {
  readonly authority: string;
  request(
    method: string,
    path: string,
    headers: OutgoingHttpHeaders,
    options: Omit<ClientSessionRequestOptions, 'signal'>,
  ): Promise<ClientHttp2Stream>;
  notifyResponseByteRead(stream: ClientHttp2Stream): void;
};

/**
 * The same session manager, whose connections may fail at any time. connect-node 2.2 destroys a connection whose ping stays unanswered: its calls fail at once, the connection's own error follows a
 * moment later. A call made in between makes it listen to a new connection and to the old one no more, whose error then ends the process.
 */
export function guardSessions(sessions: Sessions): Sessions {
  const guarded = new WeakSet<ClientHttp2Session>();
  return {
    authority: sessions.authority,
    request: async (method, path, headers, options) => {
      const stream = await sessions.request(method, path, headers, options);
      const { session } = stream;
      if (session !== undefined && !guarded.has(session as ClientHttp2Session)) {
        guarded.add(session as ClientHttp2Session);
        // Told by each of its calls already.
        session.on('error', () => {});
      }
      return stream;
    },
    notifyResponseByteRead: (stream) => sessions.notifyResponseByteRead(stream),
  };
}
