import { createHash } from 'node:crypto';
import { connect, type DetailedPeerCertificate } from 'node:tls';

/** Whoever answers is not the controller that made the token. */
export class OtherAuthority extends Error {}

/**
 * Fetches the cluster's CA certificate from whoever answers at `url` and returns it only if its SHA-256 is the pinned one. Nothing is
 * sent but the TLS handshake: a stranger at that address learns nothing. The server has to present its CA in its chain.
 * Throws when nobody answers within `deadlineMs` or the CA is another one.
 */
export function fetchPinnedCa(url: string, fingerprint: string, deadlineMs: number): Promise<string> {
  const { hostname, port } = new URL(url);
  return new Promise((resolve, reject) => {
    // Unverified on purpose: verification is what the pinned certificate found here is for, on the connection that follows.
    const socket = connect({
      host: hostname.replace(/^\[|\]$/g, ''),
      port: Number(port || 443),
      rejectUnauthorized: false,
      ALPNProtocols: ['h2'],
      minVersion: 'TLSv1.3',
    });
    const fail = (error: Error): void => {
      socket.destroy();
      reject(error);
    };
    socket.setTimeout(deadlineMs, () => fail(new Error(`the controller at ${url} did not answer within ${deadlineMs} ms`)));
    socket.once('error', fail);
    socket.once('secureConnect', () => {
      const ca = chain(socket.getPeerCertificate(true)).find((raw) => createHash('sha256').update(raw).digest('hex') === fingerprint);
      if (!ca)
        return fail(new OtherAuthority(`the controller at ${url} does not show the CA certificate whose fingerprint is in the join token`));
      socket.destroy();
      resolve(`-----BEGIN CERTIFICATE-----\n${(ca.toString('base64').match(/.{1,64}/g) ?? []).join('\n')}\n-----END CERTIFICATE-----\n`);
    });
  });
}

function chain(leaf: DetailedPeerCertificate): Buffer[] {
  const seen = new Set<string>();
  const found: Buffer[] = [];
  for (let one: DetailedPeerCertificate | undefined = leaf; one?.raw && !seen.has(one.fingerprint256); one = one.issuerCertificate) {
    seen.add(one.fingerprint256);
    found.push(one.raw);
  }
  return found;
}
