import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import type { Transport } from '@connectrpc/connect';
import { createConnectTransport, Http2SessionManager } from '@connectrpc/connect-node';
import { type CertificateRole, certificateRole } from '@godwit/contract/certificate-names';
import { guardSessions } from '@godwit/contract/rpc/guarded-sessions';

export type Credentials = { readonly caPem: string; readonly certificatePem?: string; readonly privateKeyPem?: string };

/**
 * A half-open link looks alive for minutes without these: a connection with calls in flight whose ping stays unanswered this long is dead, and one that was idle is pinged before it is used
 * again. Idle connections are not pinged meanwhile: connect-node 2.2 then pings from a timer that outlives a connection which broke with calls in flight, and that throws where
 * nobody can catch it.
 */
export const keepAlive = { pingIntervalMs: 2_000, pingTimeoutMs: 3_000 } as const;

export type TlsTransport = {
  readonly transport: Transport;
  /** Opens the connection now, or proves with a ping that it is alive. Throws when it is not. */
  warm(): Promise<void>;
  /** Ends the connection; calls in flight fail. */
  close(): void;
};

/**
 * One HTTP/2 connection with mutual TLS 1.3. The server's certificate must be of the cluster's CA, name the address, and speak for `expected`:
 * another host of the same cluster at that address is a stranger.
 */
export function createTlsTransport(
  baseUrl: string,
  credentials: Credentials,
  expected: CertificateRole,
  pingTimeoutMs: number = keepAlive.pingTimeoutMs,
): TlsTransport {
  const sessions = new Http2SessionManager(
    baseUrl,
    { ...keepAlive, pingTimeoutMs, pingIdleConnection: false, idleConnectionTimeoutMs: 3_600_000 },
    {
      ca: credentials.caPem,
      ...(credentials.certificatePem !== undefined && { cert: credentials.certificatePem }),
      ...(credentials.privateKeyPem !== undefined && { key: credentials.privateKeyPem }),
      minVersion: 'TLSv1.3',
      checkServerIdentity: (name: string, certificate: PeerCertificate) =>
        checkServerIdentity(name, certificate) ?? roleMismatch(certificate, expected),
    },
  );
  return {
    transport: createConnectTransport({ baseUrl, httpVersion: '2', sessionManager: guardSessions(sessions), useBinaryFormat: true }),
    warm: async () => {
      const state = await sessions.connect();
      if (state === 'error') throw sessions.error() ?? new Error(`${baseUrl} does not answer`);
    },
    close: () => sessions.abort(),
  };
}

function roleMismatch(certificate: PeerCertificate, expected: CertificateRole): Error | undefined {
  const role = certificateRole(certificate.subjectaltname);
  const same =
    role !== null && role.role === expected.role && (role.role !== 'host' || expected.role !== 'host' || role.hostId === expected.hostId);
  return same ? undefined : new Error(`the certificate speaks for ${describeRole(role)}, not for ${describeRole(expected)}`);
}

export const describeRole = (role: CertificateRole | null): string =>
  role === null ? 'nobody' : role.role === 'controller' ? 'a controller' : `host ${role.hostId}`;
