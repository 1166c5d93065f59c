import 'reflect-metadata';
import { webcrypto } from 'node:crypto';
import { mkdir, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  SubjectAlternativeNameExtension,
  X509CertificateGenerator,
} from '@peculiar/x509';
import { dhParametersFile, dhParametersPem } from './dh-parameters.ts';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
/** The name that throwaway certificates are valid for (QEMU's tls-hostname). */
export const throwawayHostname = 'probe.invalid';
const hourMs = 3_600_000;

/**
 * Writes a CA and one certificate for both ends, valid for an hour, into a folder as QEMU's tls-creds-x509 wants it. For the self-test only: it proves that this QEMU
 * can encrypt a stream, before and without the host's own certificates.
 */
export async function writeThrowawayCertificates(dir: string): Promise<void> {
  await mkdir(dir, { recursive: true, mode: 0o700 });
  const subtle = webcrypto.subtle;
  const [caKeys, keys] = await Promise.all([
    subtle.generateKey(algorithm, true, ['sign', 'verify']),
    subtle.generateKey(algorithm, true, ['sign', 'verify']),
  ]);
  // An hour back: a guest's host may correct its clock just now.
  const validity = { notBefore: new Date(Date.now() - hourMs), notAfter: new Date(Date.now() + hourMs) };
  const ca = await X509CertificateGenerator.createSelfSigned({
    serialNumber: '01',
    name: 'CN=throwaway CA',
    ...validity,
    signingAlgorithm: algorithm,
    keys: caKeys,
    extensions: [new BasicConstraintsExtension(true, 0, true), new KeyUsagesExtension(KeyUsageFlags.keyCertSign, true)],
  });
  const certificate = await X509CertificateGenerator.create({
    serialNumber: '02',
    subject: 'CN=throwaway',
    issuer: ca.subject,
    ...validity,
    signingAlgorithm: algorithm,
    publicKey: keys.publicKey,
    signingKey: caKeys.privateKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      // QEMU refuses certificates whose key usage lacks key encipherment, although no elliptic-curve key ever enciphers one.
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension([{ type: 'dns', value: throwawayHostname }]),
    ],
  });
  const key = PemConverter.encode(await subtle.exportKey('pkcs8', keys.privateKey), 'PRIVATE KEY');
  const write = (name: string, text: string): Promise<void> => writeFile(join(dir, name), `${text}\n`, { mode: 0o600 });
  await Promise.all([
    write(dhParametersFile, dhParametersPem),
    write('ca-cert.pem', ca.toString('pem')),
    ...['server', 'client'].flatMap((end) => [write(`${end}-cert.pem`, certificate.toString('pem')), write(`${end}-key.pem`, key)]),
  ]);
}
