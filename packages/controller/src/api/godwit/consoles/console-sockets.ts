import type { IncomingMessage } from 'node:http';
import type { Duplex } from 'node:stream';
import type { FastifyInstance } from 'fastify';
import { WebSocketServer } from 'ws';
import type { AppContext } from '../../../app-context.ts';
import { readConsoleToken } from '../../../auth/console-token.ts';
import { servicePrefixes } from '../../service-prefixes.ts';
import { closeCodes } from './close-codes.ts';
import { displayConsole } from './display-console.ts';
import { serialConsole } from './serial-console.ts';

/** noVNC asks for it; the bytes are the same. */
const protocols = new Set(['binary']);
const pingEveryMs = 30_000;

/**
 * The websocket `/consoles?token=…` of a console whose URL the compute API gave out (`POST /servers/{id}/remote-consoles`). The token is the authority: browsers cannot send headers
 * with a websocket. A token that does not hold is told by the close code, since browsers hide the status of a refused handshake. Every other upgrade is answered with 404.
 */
export function consoleSockets(app: FastifyInstance, context: AppContext): void {
  const sockets = new WebSocketServer({
    noServer: true,
    maxPayload: 262_144,
    handleProtocols: (asked) => [...asked].find((protocol) => protocols.has(protocol)) ?? false,
  });
  const upgrade = (request: IncomingMessage, stream: Duplex, head: Buffer): void => {
    const url = new URL(request.url ?? '/', 'http://controller');
    if (url.pathname !== `${servicePrefixes.godwit}/consoles`) {
      stream.end('HTTP/1.1 404 Not Found\r\nconnection: close\r\ncontent-length: 0\r\n\r\n');
      return;
    }
    sockets.handleUpgrade(request, stream, head, (socket) => {
      socket.on('error', (error) => context.log.debug({ err: error }, 'a console websocket broke'));
      // A browser that has silently gone must not be fed for ever.
      let answered = true;
      const pings = setInterval(() => {
        if (!answered) socket.terminate();
        answered = false;
        socket.ping();
      }, pingEveryMs);
      socket.on('pong', () => {
        answered = true;
      });
      socket.once('close', () => clearInterval(pings));
      const serve = async (): Promise<void> => {
        const grant = await readConsoleToken(context.db, url.searchParams.get('token') ?? '');
        if (grant === null) socket.close(closeCodes.refused, 'the console token does not hold');
        else if (grant.kind === 'vnc') await displayConsole(context, socket, grant.serverId);
        else {
          const options = { from: url.searchParams.get('from'), events: url.searchParams.has('events') };
          await serialConsole(context, socket, grant.serverId, options);
        }
      };
      serve().catch((error: unknown) => {
        context.log.warn({ err: error }, 'a console ended');
        socket.close(1011, 'an unexpected error');
      });
    });
  };
  app.server.on('upgrade', upgrade);
  // Before the listener closes: it waits for its connections, and does not know those that were upgraded.
  app.addHook('preClose', async () => {
    app.server.off('upgrade', upgrade);
    for (const socket of sockets.clients) socket.terminate();
    sockets.close();
  });
}
