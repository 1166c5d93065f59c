type Session = { on(event: 'error', listener: () => void): unknown };
type Stream = { readonly session?: Session | undefined };
/** What connect-node asks of a session manager. */
type Sessions<Request extends readonly unknown[], Opened extends Stream> = {
  readonly authority: string;
  request(...request: Request): Promise<Opened>;
  notifyResponseByteRead(stream: Opened): void;
};

/**
 * The same session manager, whose connections may fail at any time. connect-node 2.2 destroys a connection whose ping stays unanswered: its calls fail at once, the connection's own error follows a
 * moment later. A call made in between makes it listen to a new connection and to the old one no more, whose error then ends the process.
 */
export function guardSessions<Request extends readonly unknown[], Opened extends Stream>(
  sessions: Sessions<Request, Opened>,
): Sessions<Request, Opened> {
  const guarded = new WeakSet<Session>();
  return {
    authority: sessions.authority,
    request: async (...request) => {
      const stream = await sessions.request(...request);
      const { session } = stream;
      if (session !== undefined && !guarded.has(session)) {
        guarded.add(session);
        // Told by each of its calls already.
        session.on('error', () => {});
      }
      return stream;
    },
    notifyResponseByteRead: (stream) => sessions.notifyResponseByteRead(stream),
  };
}
