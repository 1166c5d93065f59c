import { createClient } from '@connectrpc/connect';
import { Cluster } from '@godwit/contract/gen/join_pb';
import { createTlsTransport } from '../rpc/tls-transport.ts';
import { createCertificateRequest } from './certificate-request.ts';
import { type HostIdentity, hostIdentity } from './host-identity.ts';

export type Presence = { readonly hostName: string; readonly address: string; readonly rpcPort: number; readonly bootId: string };

/** When to renew: two thirds into the lifetime, so that a controller may be away for a third of it. */
export const renewAtMs = (identity: Pick<HostIdentity, 'notBeforeMs' | 'notAfterMs'>): number =>
  identity.notBeforeMs + ((identity.notAfterMs - identity.notBeforeMs) * 2) / 3;

/** How long to wait after a failed renewal: a twentieth of what is left, between a second and a quarter of an hour. */
export const retryAfterMs = (identity: Pick<HostIdentity, 'notAfterMs'>, nowMs: number): number =>
  Math.min(900_000, Math.max(1_000, (identity.notAfterMs - nowMs) / 20));

/** A new certificate for a new key, proven by the current one. Throws when the controller is away or refuses; nothing has changed then. */
export async function renewIdentity(controllerUrl: string, current: HostIdentity, presence: Presence): Promise<HostIdentity> {
  const request = await createCertificateRequest(presence.hostName);
  const link = createTlsTransport(controllerUrl, current, { role: 'controller' });
  try {
    const answer = await createClient(Cluster, link.transport).renew(
      { certificateRequestPem: request.requestPem, address: presence.address, rpcPort: presence.rpcPort, bootId: presence.bootId },
      { timeoutMs: 15_000 },
    );
    const next = hostIdentity({
      privateKeyPem: request.privateKeyPem,
      certificatePem: answer.certificatePem,
      caPem: answer.caPem || current.caPem,
    });
    if (next.hostId !== current.hostId) throw new Error(`the controller renewed the certificate for another host: ${next.hostId}`);
    return next;
  } finally {
    link.close();
  }
}

export type Renewal = { readonly stop: () => void };

/** Keeps an identity fresh until stopped: renews at `renewAtMs`, tries again after failures, hands every new identity to `renewed` (store, then use). */
export function keepRenewed(
  first: HostIdentity,
  renew: (current: HostIdentity) => Promise<HostIdentity>,
  renewed: (next: HostIdentity) => Promise<void>,
  failed: (error: unknown) => void,
): Renewal {
  let current = first;
  let stopped = false;
  let timer: NodeJS.Timeout | undefined;
  const schedule = (inMs: number): void => {
    // setTimeout wraps above 2^31 ms.
    if (!stopped) timer = setTimeout(() => void turn(), Math.min(Math.max(inMs, 0), 86_400_000)).unref();
  };
  const turn = async (): Promise<void> => {
    if (Date.now() < renewAtMs(current)) return schedule(renewAtMs(current) - Date.now());
    try {
      const next = await renew(current);
      await renewed(next);
      current = next;
      schedule(renewAtMs(current) - Date.now());
    } catch (error) {
      failed(error);
      schedule(retryAfterMs(current, Date.now()));
    }
  };
  schedule(renewAtMs(current) - Date.now());
  return {
    stop: () => {
      stopped = true;
      clearTimeout(timer);
    },
  };
}
