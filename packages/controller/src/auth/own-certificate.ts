import { controllerCertificateUri } from '@godwit/contract/certificate-names';
import type { Logger } from 'pino';
import type { Db } from '../store/database.ts';
import { type Authorities, authorities, LEAF_LIFETIME_MS } from './certificate-authority.ts';
import { issueForNewKey, type KeyedCertificate } from './issue-certificate.ts';

/** What this controller proves itself with: to agents as their client, and on its own listener. Never written to disk. */
export type OwnCertificate = {
  readonly current: () => { readonly certificate: KeyedCertificate; readonly authorities: Authorities };
  /** Called after each renewal, with `current` already new. */
  readonly onRenewed: (listener: () => void) => void;
  readonly stop: () => void;
};

/** Issues the certificate and keeps it and the trusted authorities fresh: hourly a look at the authorities, a new key at two thirds of its life. */
export async function ownCertificate(db: Db, names: readonly string[], log: Logger): Promise<OwnCertificate> {
  const listeners: (() => void)[] = [];
  const make = async () => {
    const known = await authorities(db);
    return { authorities: known, certificate: await issueForNewKey(known.issuing, controllerCertificateUri, names, LEAF_LIFETIME_MS) };
  };
  let state = await make();
  const look = async (): Promise<void> => {
    const known = await authorities(db);
    const due = state.certificate.notAfter.getTime() - Date.now() < LEAF_LIFETIME_MS / 3;
    if (!due && known.bundlePem === state.authorities.bundlePem) return;
    state = await make();
    for (const listener of listeners) listener();
  };
  const timer = setInterval(() => {
    look().catch((error: unknown) => log.error({ err: error }, 'the controller certificate was not renewed'));
  }, 3_600_000);
  timer.unref();
  return { current: () => state, onRenewed: (listener) => listeners.push(listener), stop: () => clearInterval(timer) };
}
