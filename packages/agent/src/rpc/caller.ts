import type { Http2ServerRequest, ServerHttp2Session } from 'node:http2';
import type { TLSSocket } from 'node:tls';
import { Code, ConnectError, type ContextValues, createContextKey, createContextValues } from '@connectrpc/connect';
import { type CertificateRole, certificateRole } from '@godwit/contract/certificate-names';
import { as, type HostId } from '@godwit/domain/ids';
import { describeRole } from './tls-transport.ts';

const callerKey = createContextKey<CertificateRole | null>(null, { description: 'who the client certificate speaks for' });

/** By connection, whose certificate never changes: decoding it takes longer than most calls do. */
const roles = new WeakMap<ServerHttp2Session, CertificateRole | null>();

/** The caller's role, from the certificate that its TLS connection was verified with. */
export function callerContext(request: unknown): ContextValues {
  const session = (request as Http2ServerRequest).stream.session as ServerHttp2Session | undefined;
  let role = session === undefined ? null : roles.get(session);
  if (role === undefined) {
    role = certificateRole((session?.socket as TLSSocket | undefined)?.getPeerCertificate().subjectaltname);
    if (session !== undefined) roles.set(session, role);
  }
  return createContextValues().set(callerKey, role);
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
