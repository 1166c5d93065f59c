import 'reflect-metadata';
import { randomBytes, webcrypto } from 'node:crypto';
import { isIP } from 'node:net';
import { certificateSubject } from '@godwit/contract/certificate-names';
import {
  BasicConstraintsExtension,
  ExtendedKeyUsage,
  ExtendedKeyUsageExtension,
  type JsonGeneralName,
  KeyUsageFlags,
  KeyUsagesExtension,
  PemConverter,
  Pkcs10CertificateRequest,
  SubjectAlternativeNameExtension,
  X509Certificate,
  X509CertificateGenerator,
} from '@peculiar/x509';

const algorithm = { name: 'ECDSA', namedCurve: 'P-256', hash: 'SHA-256' } as const;
// Certificates are valid a little before they are made: hosts' clocks differ.
const BACKDATE_MS = 300_000;

export type KeyedCertificate = { readonly certificatePem: string; readonly privateKeyPem: string; readonly notAfter: Date };

/** A new self-signed authority. */
export async function createAuthority(lifetimeMs: number): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const notAfter = new Date(Date.now() + lifetimeMs);
  const certificate = await X509CertificateGenerator.createSelfSigned({
    serialNumber: serial(),
    name: `CN=Godwit CA ${randomBytes(4).toString('hex')}`,
    notBefore: new Date(Date.now() - BACKDATE_MS),
    notAfter,
    signingAlgorithm: algorithm,
    keys,
    extensions: [
      new BasicConstraintsExtension(true, 0, true),
      new KeyUsagesExtension(KeyUsageFlags.keyCertSign | KeyUsageFlags.cRLSign, true),
    ],
  });
  return { certificatePem: `${certificate.toString('pem')}\n`, privateKeyPem: await pkcs8(keys.privateKey), notAfter };
}

/** A new key with a certificate for it. `uri` says whom it speaks for; `names` are addresses or DNS names. */
export async function issueForNewKey(
  authority: KeyedCertificate,
  uri: string,
  names: readonly string[],
  lifetimeMs: number,
): Promise<KeyedCertificate> {
  const keys = await webcrypto.subtle.generateKey(algorithm, true, ['sign', 'verify']);
  const issued = await issue(authority, keys.publicKey, uri, names, lifetimeMs);
  return { ...issued, privateKeyPem: await pkcs8(keys.privateKey) };
}

/**
 * A certificate for the key of a request, which must prove that it has the key; nothing else of the request is believed. Throws a sentence when it is
 * malformed or the proof fails.
 */
export async function issueForRequest(
  authority: KeyedCertificate,
  requestPem: string,
  uri: string,
  names: readonly string[],
  lifetimeMs: number,
): Promise<{ readonly certificatePem: string; readonly notAfter: Date }> {
  let publicKey: webcrypto.CryptoKey;
  try {
    const request = new Pkcs10CertificateRequest(requestPem);
    if (!(await request.verify())) throw new Error('the signature does not match the key');
    publicKey = await request.publicKey.export(algorithm, ['verify']);
  } catch (error) {
    throw new Error(
      `the certificate request does not prove possession of a P-256 key: ${error instanceof Error ? error.message : String(error)}`,
      { cause: error },
    );
  }
  return issue(authority, publicKey, uri, names, lifetimeMs);
}

async function issue(
  authority: KeyedCertificate,
  publicKey: webcrypto.CryptoKey,
  uri: string,
  names: readonly string[],
  lifetimeMs: number,
) {
  const ca = new X509Certificate(authority.certificatePem);
  const signingKey = await webcrypto.subtle.importKey('pkcs8', PemConverter.decodeFirst(authority.privateKeyPem), algorithm, false, [
    'sign',
  ]);
  const notAfter = new Date(Math.min(Date.now() + lifetimeMs, authority.notAfter.getTime()));
  const generalNames: JsonGeneralName[] = [
    { type: 'url', value: uri },
    ...names.map((value): JsonGeneralName => ({ type: isIP(value) === 0 ? 'dns' : 'ip', value })),
  ];
  const certificate = await X509CertificateGenerator.create({
    serialNumber: serial(),
    subject: certificateSubject(uri),
    issuer: ca.subject,
    notBefore: new Date(Date.now() - BACKDATE_MS),
    notAfter,
    signingAlgorithm: algorithm,
    publicKey,
    signingKey,
    extensions: [
      new BasicConstraintsExtension(false, undefined, true),
      // An EC key does not encipher, but QEMU refuses a critical key usage without that bit.
      new KeyUsagesExtension(KeyUsageFlags.digitalSignature | KeyUsageFlags.keyEncipherment, true),
      new ExtendedKeyUsageExtension([ExtendedKeyUsage.serverAuth, ExtendedKeyUsage.clientAuth]),
      new SubjectAlternativeNameExtension(generalNames),
    ],
  });
  return { certificatePem: `${certificate.toString('pem')}\n`, notAfter };
}

/** Positive, 16 bytes, unguessable. */
function serial(): string {
  const bytes = randomBytes(16);
  bytes[0] = ((bytes[0] ?? 0) & 0x7f) | 0x40;
  return bytes.toString('hex');
}

async function pkcs8(key: webcrypto.CryptoKey): Promise<string> {
  return `${PemConverter.encode(await webcrypto.subtle.exportKey('pkcs8', key), 'PRIVATE KEY')}\n`;
}
