import { X509Certificate } from 'node:crypto';
import { mkdir, readdir, readFile, rename, rm, symlink, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { certificateRole } from '@godwit/contract/certificate-names';
import { as, type HostId } from '@godwit/domain/ids';
import { dhParametersFile, dhParametersPem } from '../qemu/dh-parameters.ts';

/** What this host proves itself with, to the controller, to its peers and (through the same files) from QEMU to QEMU. */
export type HostIdentity = {
  readonly hostId: HostId;
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  /** The cluster's CA, and during its rotation the next one after it. */
  readonly caPem: string;
  readonly notBeforeMs: number;
  readonly notAfterMs: number;
};

/** Reads what a certificate says of its host. Throws when it is not a host's certificate or does not belong to the key's CA. */
export function hostIdentity(parts: {
  readonly privateKeyPem: string;
  readonly certificatePem: string;
  readonly caPem: string;
}): HostIdentity {
  const certificate = new X509Certificate(parts.certificatePem);
  const role = certificateRole(certificate.subjectAltName);
  if (role?.role !== 'host') throw new Error(`the certificate speaks for no host: ${certificate.subjectAltName ?? 'no alternative names'}`);
  if (!certificateAuthorities(parts.caPem).some((ca) => certificate.checkIssued(ca) && certificate.verify(ca.publicKey)))
    throw new Error("the certificate was not issued by the cluster's CA");
  return {
    ...parts,
    hostId: as<HostId>(role.hostId),
    notBeforeMs: Date.parse(certificate.validFrom),
    notAfterMs: Date.parse(certificate.validTo),
  };
}

/** The certificates of a PEM bundle. */
export const certificateAuthorities = (pem: string): readonly X509Certificate[] =>
  (pem.match(/-----BEGIN CERTIFICATE-----[\s\S]+?-----END CERTIFICATE-----/g) ?? []).map((one) => new X509Certificate(one));

/**
 * The directory that QEMU's tls-creds-x509 and we read: a link to the newest complete set, swapped by one rename, so that a reader
 * (a QEMU that is just starting) never meets the key of one certificate beside another.
 */
export const tlsDirectory = (stateDir: string): string => join(stateDir, 'tls');

/** The identity stored under `stateDir`, or null when the host has never joined. Throws when the files are damaged. */
export async function loadHostIdentity(stateDir: string): Promise<HostIdentity | null> {
  const directory = tlsDirectory(stateDir);
  try {
    const [privateKeyPem, certificatePem, caPem] = await Promise.all(
      ['server-key.pem', 'server-cert.pem', 'ca-cert.pem'].map((file) => readFile(join(directory, file), 'utf8')),
    );
    return hostIdentity({ privateKeyPem: privateKeyPem ?? '', certificatePem: certificatePem ?? '', caPem: caPem ?? '' });
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return null;
    throw error;
  }
}

/** Stores the identity, in the names QEMU wants. When it returns, `tlsDirectory` shows exactly this set; older sets are gone. */
export async function storeHostIdentity(stateDir: string, identity: HostIdentity): Promise<void> {
  const name = `tls-${identity.notBeforeMs}-${process.hrtime.bigint()}`;
  const set = join(stateDir, name);
  await mkdir(set, { recursive: true, mode: 0o700 });
  const files = {
    'ca-cert.pem': identity.caPem,
    'server-cert.pem': identity.certificatePem,
    'server-key.pem': identity.privateKeyPem,
    'client-cert.pem': identity.certificatePem,
    'client-key.pem': identity.privateKeyPem,
    [dhParametersFile]: dhParametersPem,
  };
  for (const [file, text] of Object.entries(files)) await writeFile(join(set, file), text, { mode: 0o600, flush: true });
  const link = join(stateDir, 'tls.next');
  await rm(link, { force: true });
  await symlink(name, link);
  await rename(link, tlsDirectory(stateDir));
  for (const old of await readdir(stateDir))
    if (/^tls-\d/.test(old) && old !== name) await rm(join(stateDir, old), { recursive: true, force: true });
}
