import type { IncomingMessage } from 'node:http';
import { get } from 'node:https';
import { checkServerIdentity, type PeerCertificate } from 'node:tls';
import { certificateRole } from '@godwit/contract/certificate-names';
import { GodwitError } from '@godwit/domain/errors';
import type { ImageId } from '@godwit/domain/ids';
import type { HostIdentity } from '../../identity/host-identity.ts';

/** Silence on the connection for this long ends the transfer. */
const silenceMs = 30_000;

/**
 * The bytes of an image, from the controller, over this host's mutual TLS. Throws GodwitError NotFound when the controller has no such image, ServiceUnavailable when it
 * does not answer or answers otherwise. A stream that ends early throws too, when it is read.
 */
export function fetchImage(controllerUrl: string, identity: HostIdentity, imageId: ImageId): Promise<AsyncIterable<Uint8Array>> {
  return new Promise((resolve, reject) => {
    const unavailable = (why: string, cause?: unknown): GodwitError =>
      new GodwitError('ServiceUnavailable', `image ${imageId} could not be fetched from ${controllerUrl}: ${why}`, {}, { cause });
    const request = get(new URL(`/images/${imageId}/file`, controllerUrl), {
      ca: identity.caPem,
      cert: identity.certificatePem,
      key: identity.privateKeyPem,
      minVersion: 'TLSv1.3',
      timeout: silenceMs,
      agent: false,
      checkServerIdentity: (name: string, certificate: PeerCertificate) =>
        checkServerIdentity(name, certificate) ??
        (certificateRole(certificate.subjectaltname)?.role === 'controller' ? undefined : new Error('it is no controller')),
    });
    request.once('timeout', () => request.destroy(unavailable(`silent for ${silenceMs} ms`)));
    request.once('error', (error) => reject(error instanceof GodwitError ? error : unavailable(error.message, error)));
    request.once('response', (response: IncomingMessage) => {
      if (response.statusCode === 200) return resolve(response);
      response.resume();
      reject(
        response.statusCode === 404
          ? new GodwitError('NotFound', `image ${imageId} is not in the image store`)
          : unavailable(`it answered ${response.statusCode}`),
      );
    });
  });
}
