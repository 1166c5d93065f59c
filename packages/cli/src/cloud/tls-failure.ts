/** What is wrong with a TLS connection, and what to do next. */
export interface TlsFailure {
  readonly sentence: string;
  readonly next: string;
}

const untrusted = new Set([
  'SELF_SIGNED_CERT_IN_CHAIN',
  'DEPTH_ZERO_SELF_SIGNED_CERT',
  'UNABLE_TO_VERIFY_LEAF_SIGNATURE',
  'UNABLE_TO_GET_ISSUER_CERT',
  'UNABLE_TO_GET_ISSUER_CERT_LOCALLY',
  'CERT_UNTRUSTED',
  'CERT_SIGNATURE_FAILURE',
]);

/** Null: it is not about TLS. Codes are Node's names of OpenSSL's verification results (X509_V_ERR_…) and its own. `caFile`: what was to be trusted beside the system's authorities. */
export function tlsFailure(error: unknown, origin: string, caFile: string | null): TlsFailure | null {
  const { code, message } = error as NodeJS.ErrnoException;
  if (code === undefined) return null;
  if (untrusted.has(code))
    return {
      sentence: `The certificate of ${origin} is signed by nobody that is trusted here: ${caFile === null ? 'only the authorities of the system are' : `neither by ${caFile} nor by an authority of the system`} (${code}).`,
      next: 'Name the PEM file of its authority: OS_CACERT, --os-cacert, or cacert of clouds.yaml. --insecure trusts whoever answers.',
    };
  switch (code) {
    case 'CERT_HAS_EXPIRED':
    case 'CERT_NOT_YET_VALID':
      return {
        sentence: `The certificate of ${origin} ${code === 'CERT_HAS_EXPIRED' ? 'has expired' : 'is not valid yet'}.`,
        next: 'Look at the clock of this machine (date); if it is right, the certificate has to be renewed where the cloud runs.',
      };
    case 'ERR_TLS_CERT_ALTNAME_INVALID':
      return {
        sentence: `The certificate of ${origin} is for another name: ${message}`,
        next: 'Use a name that it is made out to in OS_AUTH_URL; where only the catalog has the other name, "publicUrl" of the controller is to be that name.',
      };
    case 'ERR_SSL_WRONG_VERSION_NUMBER':
    case 'ERR_SSL_PACKET_LENGTH_TOO_LONG':
      return {
        sentence: `${origin} does not speak TLS (${code}).`,
        next: 'Check OS_AUTH_URL: http:// instead of https://, or another port.',
      };
    default:
      return null;
  }
}
