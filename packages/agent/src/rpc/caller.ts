import type { Http2ServerRequest } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect';
import { type CertificateRole, certificateRole } from '@godwit/contract/certificate-names';
import { as, type HostId } from '@godwit/domain/ids';
import { describeRole } from './tls-transport.ts';

const callerKey = createContextKey<CertificateRole | null>(null, { description: 'who the client certificate speaks for' });

/** The caller's role, from the certificate that its TLS connection was verified with. */
export function callerContext(request: unknown): ContextValues {
  const socket = (request as Http2ServerRequest).stream.session?.socket as TLSSocket | undefined;
  const certificate = socket?.getPeerCertificate();
  return createContextValues().set(callerKey, certificateRole(certificate?.subjectaltname));
}

/** Throws PermissionDenied unless a controller calls. */
export function requireController(context: ContextValues): void {
  const caller = context.get(callerKey);
  if (caller?.role !== 'controller')
    throw forbidden(`only a controller may call this, and the certificate speaks for ${describeRole(caller)}`);
}

/** The host that calls; throws PermissionDenied when it is none. */
export function requireHost(context: ContextValues): HostId {
  const caller = context.get(callerKey);
  if (caller?.role !== 'host') throw forbidden(`only a host may call this, and the certificate speaks for ${describeRole(caller)}`);
  return as<HostId>(caller.hostId);
}

export const forbidden = (why: string): ConnectError => new ConnectError(why, Code.PermissionDenied, { 'godwit-code': 'Forbidden' });
