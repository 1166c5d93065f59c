import { createClient } from '@connectrpc/connect';
import { Cluster } from '@godwit/contract/gen/join_pb';
import { createTlsTransport } from '../rpc/tls-transport.ts';
import type { CertificateRequest } from './certificate-request.ts';
import { type HostIdentity, hostIdentity } from './host-identity.ts';
import type { JoinToken } from './join-token.ts';
import { fetchPinnedCa } from './pinned-ca.ts';

/** What a host tells of itself when it joins. */
export type HostPresence = {
  readonly hostName: string;
  readonly address: string;
  readonly rpcPort: number;
  readonly bootId: string;
  readonly zone: string;
  readonly factsJson: string;
};

/** Many hosts may join at once: neither the answer nor a ping is given up sooner. */
const answerMs = 60_000;

/**
 * Joins the cluster: pins the CA by the token's fingerprint, then presents the token on a connection verified against it. Returns the identity to
 * store; the private key never leaves this host. Throws when the CA is another one (the token is still good then), the controller refuses (the token is
 * used up), or its answer is lost (it is given again to the same request).
 */
export async function joinCluster(
  controllerUrl: string,
  token: JoinToken,
  presence: HostPresence,
  request: CertificateRequest,
): Promise<HostIdentity> {
  const pinned = await fetchPinnedCa(controllerUrl, token.caFingerprint, answerMs);
  const link = createTlsTransport(controllerUrl, { caPem: pinned }, { role: 'controller' }, answerMs);
  try {
    const answer = await createClient(Cluster, link.transport).join(
      { ...presence, token: token.text, certificateRequestPem: request.requestPem },
      { timeoutMs: answerMs },
    );
    return hostIdentity({ privateKeyPem: request.privateKeyPem, certificatePem: answer.certificatePem, caPem: answer.caPem || pinned });
  } finally {
    link.close();
  }
}
