/**
 * Who a certificate of the cluster's own CA speaks for: one URI among its subject alternative names. Everything else in the
 * certificate (common name, IP names) is for TLS and people.
 */
export type CertificateRole = { readonly role: 'controller' } | { readonly role: 'host'; readonly hostId: string };

const hostPrefix = 'spiffe://godwit/host/';
/** The URI of every controller's certificate. */
export const controllerCertificateUri = 'spiffe://godwit/controller';
/** The URI of a host's certificate. */
export const hostCertificateUri = (hostId: string): string => `${hostPrefix}${hostId}`;

/** Subject of a certificate, which QEMU compares whole: the host's id, so that one host's disk stream is open to one host. */
export const certificateSubject = (uri: string): string =>
  uri.startsWith(hostPrefix) ? `CN=${uri.slice(hostPrefix.length)}` : 'CN=godwit';

/**
 * The role that a certificate's subject alternative names give it, from Node's text of them
 * (`X509Certificate.subjectAltName`, e.g. `URI:spiffe://godwit/host/…, IP Address:10.0.0.1`).
 * Null when there is none, or more than one: nobody is two.
 */
export function certificateRole(subjectAltName: string | undefined): CertificateRole | null {
  const roles = (subjectAltName ?? '')
    .split(', ')
    .filter((name) => name.startsWith('URI:spiffe://godwit/'))
    .map((name) => roleOf(name.slice('URI:'.length)));
  return roles.length === 1 ? (roles[0] ?? null) : null;
}

function roleOf(uri: string): CertificateRole | null {
  if (uri === controllerCertificateUri) return { role: 'controller' };
  const hostId = uri.startsWith(hostPrefix) ? uri.slice(hostPrefix.length) : '';
  return /^[0-9a-f-]{36}$/.test(hostId) ? { role: 'host', hostId } : null;
}
