import { createReadStream } from 'node:fs';
import { stat } from 'node:fs/promises';
import {
  createSecureServer,
  type Http2SecureServer,
  type Http2ServerRequest,
  type Http2ServerResponse,
  type ServerHttp2Session,
} from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { createContextValues } from '@connectrpc/connect';
import { connectNodeAdapter } from '@connectrpc/connect-node';
import { type CertificateRole, certificateRole } from '@godwit/contract/certificate-names';
import { Cluster } from '@godwit/contract/gen/join_pb';
import type { Logger } from 'pino';
import type { OwnCertificate } from '../auth/own-certificate.ts';
import { callerKey } from './caller-key.ts';
import { type ClusterServiceParts, clusterService } from './cluster-service.ts';

export type AgentListener = { readonly port: number; readonly close: () => Promise<void> };

export type AgentListenerParts = ClusterServiceParts & {
  readonly own: OwnCertificate;
  readonly listen: { readonly address: string; readonly port: number };
  /** The path of an active image's data, or null when there is no such image. */
  readonly imageFile: (imageId: string) => Promise<string | null>;
  readonly log: Logger;
};

/**
 * The listener for hosts: TLS 1.3 by the cluster's own authority. A connection without a client certificate may only call Join; one with a certificate of another
 * authority counts as without. Serves the RPC service Cluster and `GET /images/<id>/file`.
 */
export async function startAgentListener(parts: AgentListenerParts): Promise<AgentListener> {
  const rpc = connectNodeAdapter({
    routes: (router) => router.service(Cluster, clusterService(parts)),
    contextValues: (request) => createContextValues().set(callerKey, callerOf(request as Http2ServerRequest)),
  });
  const secureContext = () => {
    const { certificate, authorities } = parts.own.current();
    return {
      key: certificate.privateKeyPem,
      // The chain shows the authority: a joining host finds it by the fingerprint in its token.
      cert: `${certificate.certificatePem.trim()}\n${authorities.issuing.certificatePem}`,
      ca: authorities.bundlePem,
    };
  };
  const server: Http2SecureServer = createSecureServer(
    { ...secureContext(), requestCert: true, rejectUnauthorized: false, minVersion: 'TLSv1.3', allowHTTP1: true },
    (request, response) => {
      const image = /^\/images\/([0-9a-f-]{36})\/file$/.exec(request.url ?? '');
      if (image === null) {
        rpc(request, response);
        return;
      }
      serveImage(parts, image[1] ?? '', request, response).catch((error: unknown) => {
        parts.log.warn({ err: error, image: image[1] }, 'an image was not sent to a host');
        response.stream?.destroy();
      });
    },
  );
  parts.own.onRenewed(() => server.setSecureContext(secureContext()));
  const sessions = new Set<ServerHttp2Session>();
  server.on('session', (session) => {
    sessions.add(session);
    session.once('close', () => sessions.delete(session));
    session.on('error', () => {});
  });
  server.on('tlsClientError', (error) => parts.log.debug({ err: error }, 'a TLS connection to the agents listener failed'));
  await new Promise<void>((resolve, reject) => {
    server.once('error', reject);
    server.listen(parts.listen.port, parts.listen.address, () => {
      server.off('error', reject);
      resolve();
    });
  });
  const address = server.address();
  return {
    port: typeof address === 'object' && address !== null ? address.port : parts.listen.port,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        for (const session of sessions) session.destroy();
      }),
  };
}

function callerOf(request: Http2ServerRequest): CertificateRole | null {
  const socket = (request.stream?.session?.socket ?? request.socket) as TLSSocket;
  return socket.authorized ? certificateRole(socket.getPeerCertificate().subjectaltname) : null;
}

async function serveImage(
  parts: AgentListenerParts,
  imageId: string,
  request: Http2ServerRequest,
  response: Http2ServerResponse,
): Promise<void> {
  const refuse = (status: number, message: string) => {
    response.writeHead(status, { 'content-type': 'application/json' });
    response.end(JSON.stringify({ message }));
  };
  if (callerOf(request)?.role !== 'host') return refuse(401, 'only a host with a certificate of this cluster may read images');
  if (request.method !== 'GET' && request.method !== 'HEAD') return refuse(405, 'images are only read here');
  const file = await parts.imageFile(imageId);
  if (file === null) return refuse(404, `Image ${imageId} could not be found.`);
  const { size } = await stat(file);
  response.writeHead(200, { 'content-type': 'application/octet-stream', 'content-length': size });
  if (request.method === 'HEAD') {
    response.end();
    return;
  }
  await new Promise<void>((resolve, reject) => {
    const source = createReadStream(file, { highWaterMark: 1024 * 1024 });
    source.once('error', reject);
    response.once('close', () => {
      source.destroy();
      resolve();
    });
    source.pipe(response);
  });
}
