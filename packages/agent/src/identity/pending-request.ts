import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { type CertificateRequest, createCertificateRequest } from './certificate-request.ts';

const fileOf = (stateDir: string): string => join(stateDir, 'join-request.json');

/**
 * The request that this host joins with: the one kept under `stateDir`, or a new one, kept before it is returned. A join whose answer was lost has used its token up, and is answered again
 * only to the same request; so it is the same in every attempt, over a restart of the agent too. Throws when it cannot be kept.
 */
export async function pendingRequest(stateDir: string, hostName: string): Promise<CertificateRequest> {
  const kept = await readPending(stateDir);
  if (kept !== null) return kept;
  const request = await createCertificateRequest(hostName);
  const file = fileOf(stateDir);
  await mkdir(stateDir, { recursive: true, mode: 0o700 });
  await writeFile(`${file}.new`, JSON.stringify(request), { mode: 0o600, flush: true });
  await rename(`${file}.new`, file);
  return request;
}

/** Once the identity is stored. */
export const forgetPendingRequest = (stateDir: string): Promise<void> => rm(fileOf(stateDir), { force: true });

/** What is there and whole. A damaged file has no key in it that anybody could have been answered for. */
async function readPending(stateDir: string): Promise<CertificateRequest | null> {
  try {
    const kept = JSON.parse(await readFile(fileOf(stateDir), 'utf8')) as Partial<CertificateRequest> | null;
    return typeof kept?.privateKeyPem === 'string' && typeof kept.requestPem === 'string'
      ? { privateKeyPem: kept.privateKeyPem, requestPem: kept.requestPem }
      : null;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT' || error instanceof SyntaxError) return null;
    throw error;
  }
}
