import { createSecureServer, type Http2SecureServer, type ServerHttp2Session } from 'node:http2';
import type { AddressInfo } from 'node:net';
import type { Interceptor } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { Agent, Peer } from '@godwit/contract/gen/agent_pb';
import { GuestNetwork, PeerNetwork } from '@godwit/contract/gen/network_pb';
import { GodwitError } from '@godwit/domain/errors';
import type { HostDriver } from '../drivers/host-driver.ts';
import type { HostIdentity } from '../identity/host-identity.ts';
import { agentService, type ReadLogs } from './agent-service.ts';
import { callerContext, requireController, requireHost } from './caller.ts';
import { guestNetworkService, peerNetworkService } from './network-service.ts';
import { peerService } from './peer-service.ts';
import { toConnectError } from './rpc-error.ts';
import { scoped } from './scoped-calls.ts';
import { keepAlive } from './tls-transport.ts';

export type RpcLog = {
  readonly info: (fields: Record<string, unknown>, message: string) => void;
  readonly error: (fields: Record<string, unknown>, message: string) => void;
  readonly debug: (fields: Record<string, unknown>, message: string) => void;
};

export type RpcServer = {
  readonly port: number;
  /** New connections are made with the new certificate; those that stand stay. */
  use(identity: HostIdentity): void;
  close(): Promise<void>;
};

export type RpcServerOptions = {
  readonly driver: HostDriver;
  readonly hostName: string;
  readonly identity: HostIdentity;
  readonly address: string;
  readonly port: number;
  readonly log: RpcLog;
  readonly readLogs: ReadLogs;
};

/**
 * Serves Agent (to controllers) and Peer (to hosts) on one address over HTTP/2 with mutual TLS 1.3. A client without a certificate of the cluster's CA gets no
 * further than the handshake; one whose role does not fit the service gets PermissionDenied. Throws when the address cannot be bound.
 */
export async function startRpcServer(options: RpcServerOptions): Promise<RpcServer> {
  const { driver, log } = options;
  const authorize: Interceptor = (next) => async (request) => {
    if (request.service.typeName === Agent.typeName || request.service.typeName === GuestNetwork.typeName)
      requireController(request.contextValues);
    else requireHost(request.contextValues);
    return next(request);
  };
  const codedErrors: Interceptor = (next) => async (request) => {
    try {
      return await next(request);
    } catch (error) {
      const coded = toConnectError(error);
      log[coded.metadata.get('godwit-code') === 'Internal' ? 'error' : 'debug']({ method: request.method.name, err: error }, 'rpc refused');
      throw coded;
    }
  };
  const handler = connectNodeAdapter({
    contextValues: callerContext,
    interceptors: [scoped(log), codedErrors, authorize],
    routes: (router) => {
      router.service(Agent, agentService(driver, options.hostName, options.readLogs));
      router.service(GuestNetwork, guestNetworkService(driver));
      router.service(Peer, peerService(driver));
      router.service(PeerNetwork, peerNetworkService(driver));
    },
  });
  const server = createSecureServer(
    {
      ...secrets(options.identity),
      requestCert: true,
      rejectUnauthorized: true,
      minVersion: 'TLSv1.3',
      allowHTTP1: false,
      noDelay: true,
    } as Parameters<typeof createSecureServer>[0],
    handler,
  );
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session: ServerHttp2Session) => {
    sessions.add(session);
    const stop = pingUntilDead(session);
    session.once('close', () => {
      stop();
      sessions.delete(session);
    });
    session.on('error', (error) => log.debug({ err: error }, 'rpc connection'));
  });
  server.on('sessionError', (error) => log.debug({ err: error }, 'rpc connection'));
  server.on('tlsClientError', (error) => log.debug({ err: error }, 'rpc handshake refused'));
  await listen(server, options.port, options.address);
  return {
    port: (server.address() as AddressInfo).port,
    use: (identity) => server.setSecureContext(secrets(identity)),
    close: async () => {
      const closed = new Promise<void>((resolve) => server.close(() => resolve()));
      for (const session of sessions) session.destroy();
      await closed;
    },
  };
}

const secrets = (identity: HostIdentity) => ({ key: identity.privateKeyPem, cert: identity.certificatePem, ca: identity.caPem });

function listen(server: Http2SecureServer, port: number, address: string): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once('error', (error: NodeJS.ErrnoException) => reject(mendable(error, port, address)));
    server.listen(port, address, () => {
      server.removeAllListeners('error');
      resolve();
    });
  });
}

/** What the operator can mend is one sentence that names the setting. */
function mendable(error: NodeJS.ErrnoException, port: number, address: string): Error {
  const sentences: Readonly<Record<string, string>> = {
    EADDRINUSE: `${address}:${port} is in use: stop what listens there (ss -tlnp names it), or choose another rpcPort`,
    EADDRNOTAVAIL: `${address} is no address of this host: correct managementAddress`,
    EACCES: `${address}:${port} may not be listened on: choose an rpcPort above 1023`,
  };
  const sentence = sentences[error.code ?? ''];
  return sentence === undefined ? error : new GodwitError('BadRequest', sentence, {}, { cause: error });
}

/** Ends a connection whose peer has silently gone: streams such as Watch would otherwise be fed for minutes. */
function pingUntilDead(session: ServerHttp2Session): () => void {
  let unanswered: NodeJS.Timeout | undefined;
  const timer = setInterval(() => {
    if (session.destroyed || unanswered) return;
    unanswered = setTimeout(() => session.destroy(new Error('the peer does not answer pings')), keepAlive.pingTimeoutMs);
    try {
      session.ping((error) => {
        clearTimeout(unanswered);
        unanswered = undefined;
        if (error) session.destroy();
      });
    } catch {
      clearTimeout(unanswered); // the session is closing: its 'close' event does the rest
    }
  }, keepAlive.pingIntervalMs);
  return () => {
    clearInterval(timer);
    clearTimeout(unanswered);
  };
}
