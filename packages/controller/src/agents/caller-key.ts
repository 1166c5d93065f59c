import { createContextKey } from '@connectrpc/connect';
import type { CertificateRole } from '@godwit/contract/certificate-names';

/** Whom the client certificate of a call's connection speaks for; null without a verified one. */
export const callerKey = createContextKey<CertificateRole | null>(null, { description: 'who the client certificate speaks for' });
